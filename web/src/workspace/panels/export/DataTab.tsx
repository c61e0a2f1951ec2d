import { useState } from "react";
import * as api from "../../../api/client";
import type { Format, Medium, Options } from "../../../api/types";
import { FormatList } from "../../../exports/FormatList";
import { SchemaForm } from "../../../exports/SchemaForm";
import { useJob } from "../../../exports/useJob";
import { Switch } from "../../../ui/kit";
import { useWorkspace } from "../../model/store";
import { ExportFoot } from "./ExportFoot";
import { ObjectChecks } from "./ObjectChecks";

/** Export of masks and boxes in the formats of other tools. */
export function DataTab({ formats, medium }: { formats: readonly Format[]; medium: Medium }) {
  const objects = useWorkspace((state) => state.objects);
  const [id, setId] = useState(formats[0]?.id ?? "");
  const [options, setOptions] = useState<Options>({});
  const [onlyAccepted, setOnlyAccepted] = useState(false);
  const [excluded, setExcluded] = useState<readonly number[]>([]);
  const { job, run, cancel } = useJob();
  const format = formats.find((candidate) => candidate.id === id);
  return (
    <div className="export">
      <FormatList
        formats={formats}
        id={id}
        onChoose={(chosen) => {
          setId(chosen);
          setOptions({});
        }}
      />
      <div className="export__right">
        <div className="export__form">
          {format && (
            <section className="export__section">
              <h3 className="export__title">{format.name}</h3>
              <p className="export__text">{format.description}</p>
              <SchemaForm schema={format.options} values={options} pid={medium.project_id} onChange={setOptions} />
            </section>
          )}
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
                format: id,
                options,
                objects: excluded.length ? included : null,
                only_accepted: onlyAccepted,
              }),
            );
          }}
        >
          <div className="field field--row">
            <span>Only accepted frames</span>
            <Switch label="Only accepted frames" checked={onlyAccepted} onChange={setOnlyAccepted} />
          </div>
        </ExportFoot>
      </div>
    </div>
  );
}
