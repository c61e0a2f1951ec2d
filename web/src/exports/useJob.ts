import { useEffect, useRef, useState } from "react";
import * as api from "../api/client";
import type { Job } from "../api/types";
import { toastError } from "../state/app";

/** Run exports or renders one after another: progress of the last one, and its file downloaded when it is done. */
export function useJob(): { job: Job | null; run: (start: () => Promise<Job>) => void; cancel: () => void } {
  const [job, setJob] = useState<Job | null>(null);
  const stop = useRef<(() => void) | null>(null);
  useEffect(() => () => stop.current?.(), []);
  const onJob = (current: Job) => {
    setJob(current);
    if (current.state === "failed") toastError(new Error(current.message ?? "The export failed."));
    if (current.state === "done" && current.result) download(current.result.url);
  };
  return {
    job,
    run: (start) => {
      stop.current?.();
      start().then((started) => {
        setJob(started);
        if (api.isFinal(started)) onJob(started);
        else stop.current = api.followJob(started.id, { onJob });
      }, toastError);
    },
    cancel: () => {
      if (job) void api.cancelJob(job.id).catch(toastError);
    },
  };
}

export function download(url: string): void {
  const link = document.createElement("a");
  link.href = url;
  link.download = "";
  document.body.append(link);
  link.click();
  link.remove();
}
