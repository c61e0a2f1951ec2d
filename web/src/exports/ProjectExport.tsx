import { Download } from "lucide-react";
import * as api from "../api/client";
import { plural } from "../lib/text";
import { Button, Dialog, Spinner, Switch } from "../ui/kit";
import { useCatalogue } from "./catalogue";
import { type Choices, useLastChoices } from "./choices";
import { FormatList } from "./FormatList";
import { isBusy, JobLine } from "./JobLine";
import { knownValues } from "./options";
import { SchemaForm } from "./SchemaForm";
import { useJob } from "./useJob";

/** Dialog that exports the masks of media of a project, by their ids or all, as one file. */
export function ProjectExport(props: { pid: string; media: readonly string[] | null; onClose: () => void }) {
  const { pid, media, onClose } = props;
  const formats = useCatalogue();
  const [last, remember] = useLastChoices<Choices>(pid, "project", {
    format: "coco",
    options: {},
    onlyAccepted: false,
  });
  const { format: id, options, onlyAccepted } = last;
  const { job, run, cancel } = useJob();
  const choices = formats?.formats.filter((format) => format.many_media) ?? [];
  const format = choices.find((choice) => choice.id === id) ?? choices[0];
  return (
    <Dialog
      title={media ? `Export ${plural(media.length, "file")}` : "Export the project"}
      onClose={onClose}
      foot={
        <Button
          variant="primary"
          icon={Download}
          disabled={isBusy(job) || !format}
          onClick={() =>
            run(() =>
              api.startProjectExport(pid, {
                format: format.id,
                options: knownValues(format.options, options),
                media: media && [...media],
                objects: null,
                only_accepted: onlyAccepted,
              }),
            )
          }
        >
          Export
        </Button>
      }
    >
      <div className="dialog__body project-export">
        {format ? (
          <FormatList
            formats={choices}
            id={format.id}
            onChoose={(chosen) => remember({ ...last, format: chosen, options: {} })}
          />
        ) : (
          <Spinner />
        )}
        {format && (
          <SchemaForm
            schema={format.options}
            values={options}
            pid={pid}
            kind={null}
            onChange={(changed) => remember({ ...last, options: changed })}
          />
        )}
        <div className="field field--row">
          <span>Only accepted masks</span>
          <Switch
            label="Only accepted masks"
            checked={onlyAccepted}
            onChange={(isOn) => remember({ ...last, onlyAccepted: isOn })}
          />
        </div>
        <JobLine job={job} onCancel={cancel} />
      </div>
    </Dialog>
  );
}
