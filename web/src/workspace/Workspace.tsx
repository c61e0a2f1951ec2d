import { ImageOff } from "lucide-react";
import { useEffect } from "react";
import { Header } from "../screens/Header";
import { onReconnected } from "../state/app";
import { go } from "../state/route";
import { Button, Empty, Spinner } from "../ui/kit";
import * as actions from "./actions";
import { Canvas } from "./Canvas";
import { CanvasBar } from "./CanvasBar";
import { ExportDialog } from "./ExportDialog";
import { HelpDialog } from "./HelpDialog";
import { ImportDialog } from "./ImportDialog";
import { listenToKeys } from "./keys";
import { ObjectsPanel } from "./ObjectsPanel";
import { isVideo, setState, useWorkspace } from "./store";
import { Timeline } from "./Timeline";
import { Toolbar } from "./Toolbar";
import { TopBar } from "./TopBar";
import { TrackPanel } from "./TrackPanel";
import { Transport } from "./Transport";

export default function Workspace({ pid, mid, startFrame }: { pid: string; mid: string; startFrame: number }) {
  const medium = useWorkspace((state) => state.medium);
  const loadError = useWorkspace((state) => state.loadError);
  const hasTimeline = useWorkspace(isVideo);
  const dialog = useWorkspace((state) => state.dialog);

  // biome-ignore lint/correctness/useExhaustiveDependencies: opened once; the address follows the frame from then on
  useEffect(() => {
    void actions.open(pid, mid, startFrame);
    const stopKeys = listenToKeys();
    const stopBack = onReconnected(() => void actions.reconnected());
    return () => {
      stopKeys();
      stopBack();
      actions.close();
    };
  }, [pid, mid]);

  if (loadError) {
    return (
      <>
        <Header />
        <Empty
          icon={ImageOff}
          title="This cannot be opened"
          action={<Button onClick={() => go({ screen: "project", pid })}>Back to the project</Button>}
        >
          {loadError}
        </Empty>
      </>
    );
  }
  if (!medium || medium.id !== mid) {
    return (
      <div className="screen-centre">
        <Spinner />
      </div>
    );
  }
  const closeDialog = () => setState({ dialog: null });
  return (
    <div className="workspace">
      <TopBar />
      <div className="workspace__middle">
        <Toolbar />
        <main className="workspace__stage">
          <Canvas />
          <CanvasBar />
        </main>
        <aside className="side" aria-label="Objects and tracking">
          <ObjectsPanel />
          {hasTimeline && <TrackPanel />}
        </aside>
      </div>
      {hasTimeline && (
        <section className="bottom" aria-label="Timeline">
          <Transport />
          <Timeline />
        </section>
      )}
      {dialog === "help" && <HelpDialog onClose={closeDialog} />}
      {dialog === "export" && <ExportDialog onClose={closeDialog} />}
      {dialog === "import" && <ImportDialog onClose={closeDialog} />}
    </div>
  );
}
