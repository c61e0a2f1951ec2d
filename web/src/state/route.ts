/** The open screen, kept in the address so that a reload or a shared link opens the same frame. */

import { create } from "zustand";

type Route =
  | { readonly screen: "projects" }
  /** `list` is the filter, order and page of the project's media, as in the address. */
  | { readonly screen: "project"; readonly pid: string; readonly list?: string }
  | { readonly screen: "workspace"; readonly pid: string; readonly mid: string; readonly frame: number };

function parseRoute(path: string, search: string): Route {
  const [, p, pid, m, mid] = path.split("/");
  if (p === "p" && pid && m === "m" && mid) {
    const frame = Number.parseInt(new URLSearchParams(search).get("f") ?? "0", 10);
    return { screen: "workspace", pid, mid, frame: Number.isFinite(frame) && frame > 0 ? frame : 0 };
  }
  if (p === "p" && pid) return { screen: "project", pid, list: search.replace(/^\?/, "") };
  return { screen: "projects" };
}

function toPath(route: Route): string {
  if (route.screen === "projects") return "/";
  if (route.screen === "project") return `/p/${route.pid}${route.list ? `?${route.list}` : ""}`;
  return `/p/${route.pid}/m/${route.mid}${route.frame ? `?f=${route.frame}` : ""}`;
}

const current = () => parseRoute(location.pathname, location.search);

export const useRoute = create<{ readonly route: Route }>(() => ({ route: current() }));

export function go(route: Route): void {
  history.pushState(null, "", toPath(route));
  useRoute.setState({ route });
}

/** What was listed last of each project: a way back to it shows the same. */
const lists = new Map<string, string>();
export const lastList = (pid: string): string => lists.get(pid) ?? "";

/** Put the filter, order and page of a project's media into the address. */
export function rememberList(pid: string, list: string): void {
  lists.set(pid, list);
  const path = toPath({ screen: "project", pid, list });
  if (path !== location.pathname + location.search) history.replaceState(null, "", path);
}

let pending: ReturnType<typeof setTimeout> | null = null;
/** Put the frame into the address once it has stopped changing (browsers limit how often that is allowed). */
export function rememberFrame(frame: number): void {
  if (pending !== null) clearTimeout(pending);
  pending = setTimeout(() => {
    const { route } = useRoute.getState();
    if (route.screen !== "workspace") return;
    const path = toPath({ ...route, frame });
    if (path !== location.pathname + location.search) history.replaceState(null, "", path);
  }, 250);
}

window.addEventListener("popstate", () => useRoute.setState({ route: current() }));
