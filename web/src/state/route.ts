/** Where we are, kept in the address so that a reload or a shared link comes back to the same frame. */

import { create } from "zustand";

export type Route =
  | { readonly screen: "projects" }
  | { readonly screen: "project"; readonly pid: string }
  | { readonly screen: "workspace"; readonly pid: string; readonly mid: string; readonly frame: number };

export function parseRoute(path: string, search: string): Route {
  const [, p, pid, m, mid] = path.split("/");
  if (p === "p" && pid && m === "m" && mid) {
    const frame = Number.parseInt(new URLSearchParams(search).get("f") ?? "0", 10);
    return { screen: "workspace", pid, mid, frame: Number.isFinite(frame) && frame > 0 ? frame : 0 };
  }
  if (p === "p" && pid) return { screen: "project", pid };
  return { screen: "projects" };
}

export function toPath(route: Route): string {
  if (route.screen === "projects") return "/";
  if (route.screen === "project") return `/p/${route.pid}`;
  return `/p/${route.pid}/m/${route.mid}${route.frame ? `?f=${route.frame}` : ""}`;
}

const current = () => parseRoute(location.pathname, location.search);

export const useRoute = create<{ readonly route: Route }>(() => ({ route: current() }));

export function go(route: Route): void {
  history.pushState(null, "", toPath(route));
  useRoute.setState({ route });
}

let pending: ReturnType<typeof setTimeout> | null = null;
/** Remember the frame in the address, a moment after it stopped changing (browsers limit how often one may). */
export function rememberFrame(frame: number): void {
  if (pending !== null) clearTimeout(pending);
  pending = setTimeout(() => {
    const { route } = useRoute.getState();
    if (route.screen !== "workspace") return;
    const at: Route = { ...route, frame };
    if (toPath(at) !== location.pathname + location.search) history.replaceState(null, "", toPath(at));
  }, 250);
}

window.addEventListener("popstate", () => useRoute.setState({ route: current() }));
