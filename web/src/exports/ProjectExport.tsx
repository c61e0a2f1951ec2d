import { Download } from "lucide-react";
import { useState } from "react";
import * as api from "../api/client";
import { Button, Dialog, Spinner, Switch } from "../ui/kit";
import { useCatalogue } from "./catalogue";
import { FormatList } from "./FormatList";
import { isBusy, JobLine } from "./JobLine";
import { useJob } from "./useJob";

/** Dialog that exports the masks of all media of a project as one file. */
export function ProjectExport({ pid, onClose }: { pid: string; onClose: () => void }) {
  const formats = useCatalogue();
  const [id, setId] = useState("coco");
  const [onlyAccepted, setOnlyAccepted] = useState(false);
  const { job, run, cancel } = useJob();
  const choices = formats?.formats.filter((format) => format.many_media) ?? [];
  return (
    <Dialog
      title="Export the project"
      onClose={onClose}
      foot={
        <Button
          variant="primary"
          icon={Download}
          disabled={isBusy(job) || !formats}
          onClick={() =>
            run(() =>
              api.startProjectExport(pid, { format: id, options: {}, objects: null, only_accepted: onlyAccepted }),
            )
          }
        >
          Export
        </Button>
      }
    >
      <div className="dialog__body project-export">
        {formats ? <FormatList formats={choices} id={id} onChoose={setId} /> : <Spinner />}
        <div className="field field--row">
          <span>Only accepted frames</span>
          <Switch label="Only accepted frames" checked={onlyAccepted} onChange={setOnlyAccepted} />
        </div>
        <JobLine job={job} onCancel={cancel} />
      </div>
    </Dialog>
  );
}
