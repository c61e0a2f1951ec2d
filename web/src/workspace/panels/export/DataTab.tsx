import { useState } from "react";
import * as api from "../../../api/client";
import type { Format, Medium } from "../../../api/types";
import { type Choices, useLastChoices } from "../../../exports/choices";
import { FormatList } from "../../../exports/FormatList";
import { knownValues } from "../../../exports/options";
import { SchemaForm } from "../../../exports/SchemaForm";
import { useJob } from "../../../exports/useJob";
import { Switch } from "../../../ui/kit";
import { useWorkspace } from "../../model/store";
import { ExportFoot } from "./ExportFoot";
import { ObjectChecks } from "./ObjectChecks";

/** Export of masks and boxes in the formats of other tools. */
export function DataTab({ formats, medium }: { formats: readonly Format[]; medium: Medium }) {
  const objects = useWorkspace((state) => state.objects);
  const [last, remember] = useLastChoices<Choices>(medium.project_id, `data.${medium.kind}`, {
    format: formats[0]?.id ?? "",
    options: {},
    onlyAccepted: false,
  });
  const [excluded, setExcluded] = useState<readonly number[]>([]);
  const { job, run, cancel } = useJob();
  const format = formats.find((candidate) => candidate.id === last.format) ?? formats[0];
  const options = knownValues(format.options, last.options);
  return (
    <div className="export">
      <FormatList
        formats={formats}
        id={format.id}
        onChoose={(chosen) => remember({ ...last, format: chosen, options: {} })}
      />
      <div className="export__right">
        <div className="export__form">
          <section className="export__section">
            <h3 className="export__title">{format.name}</h3>
            <p className="export__text">{format.description}</p>
            <SchemaForm
              schema={format.options}
              values={options}
              pid={medium.project_id}
              kind={medium.kind}
              onChange={(changed) => remember({ ...last, options: changed })}
            />
          </section>
          {objects.length > 1 && (
            <section className="export__section">
              <h3 className="export__title">Objects</h3>
              <ObjectChecks
                verb="Export"
                isOn={(id) => !excluded.includes(id)}
                onChange={(id, isOn) =>
                  setExcluded(isOn ? excluded.filter((other) => other !== id) : [...excluded, id])
                }
              />
            </section>
          )}
        </div>
        <ExportFoot
          job={job}
          onCancel={cancel}
          isReady={objects.length > excluded.length}
          onExport={() => {
            const included = objects.map((object) => object.id).filter((id) => !excluded.includes(id));
            run(() =>
              api.startExport(medium.id, {
                format: format.id,
                options,
                objects: excluded.length ? included : null,
                media: null,
                only_accepted: last.onlyAccepted,
              }),
            );
          }}
        >
          <div className="field field--row">
            <span>Only accepted masks</span>
            <Switch
              label="Only accepted masks"
              checked={last.onlyAccepted}
              onChange={(isOn) => remember({ ...last, onlyAccepted: isOn })}
            />
          </div>
        </ExportFoot>
      </div>
    </div>
  );
}
