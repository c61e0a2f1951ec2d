import { useCallback, useEffect, useRef, useState } from "react";
import * as api from "../api/client";
import type { ClassCount, MediumList, Project } from "../api/types";
import { type ListView, pageOf } from "../lib/mediaList";
import { onReconnected, toastError } from "../state/app";

interface LoadedProject {
  readonly project: Project | null;
  readonly classes: readonly ClassCount[];
  readonly list: MediumList | null;
  /** Why the project cannot be shown. */
  readonly missing: string | null;
  readonly setProject: (project: Project) => void;
  /** Load everything again, after a change. */
  readonly reload: () => void;
}

/** Load a project and the part of its media that a view shows; again when the user comes back to the page. */
export function useMedia(pid: string, view: ListView): LoadedProject {
  const [project, setProject] = useState<Project | null>(null);
  const [classes, setClasses] = useState<readonly ClassCount[]>([]);
  const [list, setList] = useState<MediumList | null>(null);
  const [missing, setMissing] = useState<string | null>(null);
  const turn = useRef(0);

  const load = useCallback(() => {
    const mine = ++turn.current;
    const isCurrent = () => turn.current === mine;
    const onError = (error: unknown) => {
      if (!isCurrent()) return;
      if (error instanceof api.ApiError && error.status === 404) setMissing(error.message);
      else toastError(error);
    };
    api.getProject(pid).then((loaded) => isCurrent() && setProject(loaded), onError);
    api.listMedia(pid, pageOf(view)).then((loaded) => isCurrent() && setList(loaded), onError);
    api.listClasses(pid).then(
      (loaded) => isCurrent() && setClasses(loaded),
      () => {},
    );
  }, [pid, view]);

  useEffect(() => {
    load();
    const onShown = () => {
      if (document.visibilityState === "visible") load();
    };
    document.addEventListener("visibilitychange", onShown);
    const stop = onReconnected(load);
    return () => {
      document.removeEventListener("visibilitychange", onShown);
      stop();
    };
  }, [load]);

  return { project, classes, list, missing, setProject, reload: load };
}
