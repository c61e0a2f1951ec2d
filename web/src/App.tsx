import { lazy, Suspense, useEffect } from "react";
import { Login } from "./screens/Login";
import { ProjectScreen } from "./screens/Project";
import { Projects } from "./screens/Projects";
import { Toasts } from "./shell/Toasts";
import { start, useApp } from "./state/app";
import { useRoute } from "./state/route";
import { Spinner, TooltipLayer } from "./ui/kit";

const Workspace = lazy(() => import("./workspace/Workspace"));

export function App() {
  const info = useApp((state) => state.info);
  const startError = useApp((state) => state.startError);

  useEffect(() => {
    void start();
  }, []);

  return (
    <div className="app">
      {info ? (
        info.needs_login && !info.user ? (
          <Login />
        ) : (
          <Screen />
        )
      ) : (
        <div className="screen-centre">{startError ? <p>{startError} Trying again…</p> : <Spinner />}</div>
      )}
      <Toasts />
      <TooltipLayer />
    </div>
  );
}

function Screen() {
  const route = useRoute((state) => state.route);
  if (route.screen === "projects") return <Projects />;
  if (route.screen === "project") return <ProjectScreen key={route.pid} pid={route.pid} list={route.list ?? ""} />;
  const wait = (
    <div className="screen-centre">
      <Spinner />
    </div>
  );
  return (
    <Suspense fallback={wait}>
      <Workspace key={route.mid} pid={route.pid} mid={route.mid} startFrame={route.frame} />
    </Suspense>
  );
}
