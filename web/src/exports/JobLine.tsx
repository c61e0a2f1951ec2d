import { CircleStop } from "lucide-react";
import * as api from "../api/client";
import type { Job } from "../api/types";
import { bytes, duration } from "../lib/text";
import { Button, IconButton, Progress } from "../ui/kit";
import { download } from "./useJob";

export const isBusy = (job: Job | null): boolean => job !== null && !api.isFinal(job);

/** Progress of an export, then its file; or why it failed. */
export function JobLine({ job, onCancel }: { job: Job | null; onCancel: () => void }) {
  if (!job) return null;
  if (job.state === "failed") {
    return (
      <p className="form-error" role="alert">
        {job.message}
      </p>
    );
  }
  if (job.state === "done" && job.result) {
    const { url, name, bytes: size } = job.result;
    return (
      <p className="job-line" role="status">
        <span className="job-line__name">{name}</span>
        <span className="num">{bytes(size)}</span>
        <Button onClick={() => download(url)}>Download again</Button>
      </p>
    );
  }
  if (job.state === "cancelled") return <p className="job-line">Stopped.</p>;
  return (
    <div className="job-line job-line--running">
      <Progress value={job.total ? job.done / job.total : null} label="Export" />
      <span className="num">
        {job.state === "queued" ? "Waiting" : `${job.done}${job.total ? ` of ${job.total}` : ""}`}
        {job.eta_s ? `, ${duration(job.eta_s)} left` : ""}
      </span>
      <IconButton small icon={CircleStop} label="Stop" onClick={onCancel} />
    </div>
  );
}
