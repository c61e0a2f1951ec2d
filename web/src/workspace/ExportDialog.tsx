import { CircleStop, Clapperboard, Download, FileJson, Plus, Trash2 } from "lucide-react";
import { type CSSProperties, type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import * as api from "../api/client";
import type {
  Composition,
  Container,
  Effect,
  EffectUse,
  Format,
  FormatCatalogue,
  Job,
  Medium,
  OptionSchema,
  Options,
} from "../api/types";
import { bytes, duration, messageOf } from "../lib/text";
import { toastError } from "../state/app";
import { Button, Dialog, IconButton, Progress, Segmented, Spinner, Switch } from "../ui/kit";
import { defaultsOf, SchemaForm } from "./SchemaForm";
import { useWorkspace } from "./store";
import { download, useJob } from "./useJob";

let catalogue: Promise<FormatCatalogue> | null = null;

function useCatalogue(): FormatCatalogue | null {
  const [formats, setFormats] = useState<FormatCatalogue | null>(null);
  useEffect(() => {
    catalogue ??= api.getFormats();
    catalogue.then(setFormats, (error: unknown) => {
      catalogue = null;
      toastError(error);
    });
  }, []);
  return formats;
}

type Tab = "effects" | "data";

export function ExportDialog({ onClose }: { onClose: () => void }) {
  const medium = useWorkspace((state) => state.medium);
  const formats = useCatalogue();
  const [tab, setTab] = useState<Tab>("effects");
  if (!medium) return null;
  return (
    <Dialog
      title="Export"
      size="wide"
      onClose={onClose}
      head={
        <div className="export__tabs">
          <Segmented<Tab>
            label="What to export"
            value={tab}
            options={[
              {
                value: "effects",
                label: medium.kind === "video" ? "Video with effects" : "Picture with effects",
                icon: Clapperboard,
              },
              { value: "data", label: "Masks and data", icon: FileJson },
            ]}
            onChange={setTab}
          />
        </div>
      }
    >
      {!formats ? (
        <div className="screen-centre">
          <Spinner />
        </div>
      ) : tab === "effects" ? (
        <Effects medium={medium} effects={formats.effects} containers={formats.containers} />
      ) : (
        <Data formats={formats.formats.filter((one) => one.for.includes(medium.kind))} medium={medium} />
      )}
    </Dialog>
  );
}

// Effects.

/** As `masklet.render.composition.Edges` has them. */
const EDGES: OptionSchema = {
  properties: {
    refine: { title: "Let the picture decide", type: "boolean", default: true },
    feather: { title: "Softness", type: "number", minimum: 0, maximum: 40, default: 0 },
    decontaminate: { title: "Take the old background's colour out", type: "boolean", default: true },
  },
};

const PRESETS: readonly { name: string; background: EffectUse; effects: readonly EffectUse[] }[] = [
  { name: "Cut-out", background: { effect: "transparent" }, effects: [] },
  { name: "Blur behind", background: { effect: "blur" }, effects: [] },
  { name: "New background", background: { effect: "color" }, effects: [] },
  { name: "Only in colour", background: { effect: "gray" }, effects: [] },
  { name: "Spotlight", background: { effect: "none" }, effects: [{ effect: "spotlight" }] },
  { name: "Highlight", background: { effect: "none" }, effects: [{ effect: "highlight" }, { effect: "outline" }] },
  { name: "Pixelate", background: { effect: "none" }, effects: [{ effect: "pixelate" }] },
  { name: "Remove", background: { effect: "none" }, effects: [{ effect: "remove" }] },
];

function Effects(props: { medium: Medium; effects: readonly Effect[]; containers: readonly Container[] }) {
  const { medium, effects } = props;
  const objects = useWorkspace((state) => state.objects);
  const range = useWorkspace((state) => state.range);
  const [background, setBackground] = useState<EffectUse>({ effect: "transparent" });
  const [perObject, setPerObject] = useState<Readonly<Record<string, readonly EffectUse[]>>>({ "*": [] });
  const [target, setTarget] = useState("*");
  const [kept, setKept] = useState<readonly number[] | null>(null);
  const [container, setContainer] = useState<string | null>(null);
  const [edges, setEdges] = useState<Options>(defaultsOf(EDGES));
  const [onlyRange, setOnlyRange] = useState(range !== null);
  const { job, run, cancel } = useJob();

  const composition = useMemo<Composition>(
    () => ({ background, objects: perObject, cutout: kept === null ? null : [...kept], edges }),
    [background, perObject, kept, edges],
  );
  const isTransparent = background.effect === "transparent";
  const choices = props.containers.filter(
    (one) => (medium.kind === "video" || one.id === "png") && (one.has_alpha || !isTransparent),
  );
  const usual = medium.kind === "image" ? "png" : isTransparent ? "webm" : "mp4";
  const chosen = (choices.find((one) => one.id === container) ?? choices.find((one) => one.id === usual) ?? choices[0])
    ?.id;
  const chosenText = choices.find((one) => one.id === chosen)?.description;
  const backgrounds = effects.filter((one) => one.target === "background");
  const own = perObject[target] ?? [];
  const setOwn = (uses: readonly EffectUse[]) => setPerObject({ ...perObject, [target]: uses });
  const needsAsset = "asset_id" in defaultsFor(effects, background.effect, "background") && !background.asset_id;

  return (
    <div className="export">
      <div className="export__left">
        <Preview composition={composition} medium={medium} ready={!needsAsset} />
        <ul className="presets" aria-label="Looks">
          {PRESETS.map((preset) => (
            <li key={preset.name}>
              <button
                type="button"
                className="preset"
                onClick={() => {
                  setBackground(withDefaults(effects, preset.background, "background"));
                  setPerObject({ "*": preset.effects.map((one) => withDefaults(effects, one, "object")) });
                  setTarget("*");
                }}
              >
                {preset.name}
              </button>
            </li>
          ))}
        </ul>
      </div>
      <div className="export__right">
        <div className="export__form">
          <section className="export__section">
            <h3 className="export__title">Background</h3>
            <ul className="swatches">
              {backgrounds.map((one) => (
                <li key={one.id}>
                  <button
                    type="button"
                    className="swatch"
                    aria-pressed={one.id === background.effect}
                    onClick={() => setBackground({ effect: one.id, ...defaultsOf(one.options) })}
                  >
                    {one.name}
                  </button>
                </li>
              ))}
            </ul>
            <SchemaForm
              schema={effects.find((one) => one.id === background.effect && one.target === "background")?.options ?? {}}
              values={background}
              pid={medium.project_id}
              onChange={(values) => setBackground({ ...values, effect: background.effect })}
            />
          </section>
          {background.effect !== "none" && objects.length > 1 && (
            <section className="export__section">
              <h3 className="export__title">In front</h3>
              <ul className="checks">
                {objects.map((object) => {
                  const isKept = kept === null || kept.includes(object.id);
                  return (
                    <li key={object.id} className="check">
                      <span className="timeline__dot" style={{ background: object.color }} />
                      <span className="check__name">{object.name}</span>
                      <Switch
                        label={`Keep ${object.name}`}
                        checked={isKept}
                        onChange={(on) => {
                          const all = kept ?? objects.map((one) => one.id);
                          const next = on ? [...all, object.id] : all.filter((id) => id !== object.id);
                          setKept(next.length === objects.length ? null : next);
                        }}
                      />
                    </li>
                  );
                })}
              </ul>
            </section>
          )}
          {background.effect !== "none" && (
            <section className="export__section">
              <h3 className="export__title">Edges</h3>
              <SchemaForm schema={EDGES} values={edges} pid={medium.project_id} onChange={setEdges} />
            </section>
          )}
          <section className="export__section">
            <h3 className="export__title">Objects</h3>
            <select
              className="input"
              aria-label="Whose effects"
              value={target}
              onChange={(event) => setTarget(event.currentTarget.value)}
            >
              <option value="*">All objects</option>
              {objects.map((object) => (
                <option key={object.id} value={String(object.id)}>
                  {object.name}
                  {perObject[String(object.id)] ? " (own effects)" : ""}
                </option>
              ))}
            </select>
            {own.map((use, i) => (
              <EffectCard
                // biome-ignore lint/suspicious/noArrayIndexKey: effects of a list have no other name
                key={`${use.effect}-${i}`}
                use={use}
                effects={effects}
                pid={medium.project_id}
                onChange={(changed) => setOwn(own.map((one, j) => (j === i ? changed : one)))}
                onRemove={() => setOwn(own.filter((_, j) => j !== i))}
              />
            ))}
            <AddEffect effects={effects} onAdd={(use) => setOwn([...own, use])} />
          </section>
        </div>
        <ExportFoot
          job={job}
          onCancel={cancel}
          isReady={!needsAsset}
          onExport={() => {
            const limits = onlyRange ? range : null;
            run(() =>
              api.startRender(medium.id, {
                composition,
                container: chosen,
                start: limits?.start ?? null,
                stop: limits?.stop ?? null,
              }),
            );
          }}
        >
          <label className="field">
            <span className="field__label">File</span>
            <select className="input" value={chosen} onChange={(event) => setContainer(event.currentTarget.value)}>
              {choices.map((one) => (
                <option key={one.id} value={one.id}>
                  {one.name}
                </option>
              ))}
            </select>
            <span className="field__hint">{chosenText}</span>
          </label>
          {range && (
            <div className="field field--row">
              <span>
                Only frames {range.start} to {range.stop - 1}
              </span>
              <Switch label="Only the range" checked={onlyRange} onChange={setOnlyRange} />
            </div>
          )}
        </ExportFoot>
      </div>
    </div>
  );
}

/** What stays in view below the options: the last choices, how far it is, and the button. */
function ExportFoot(props: {
  job: Job | null;
  isReady: boolean;
  onCancel: () => void;
  onExport: () => void;
  children: ReactNode;
}) {
  const hasObjects = useWorkspace((state) => state.objects.length > 0);
  return (
    <footer className="export__foot">
      {props.children}
      <JobLine job={props.job} onCancel={props.onCancel} />
      <Button
        variant="primary"
        large
        wide
        icon={Download}
        disabled={isBusy(props.job) || !hasObjects || !props.isReady}
        onClick={props.onExport}
      >
        {hasObjects ? "Export" : "Mark an object first"}
      </Button>
    </footer>
  );
}

const isBusy = (job: Job | null): boolean => job !== null && !api.isFinal(job);

function defaultsFor(effects: readonly Effect[], id: string, target: Effect["target"]): Options {
  const effect = effects.find((one) => one.id === id && one.target === target);
  return effect ? defaultsOf(effect.options) : {};
}

const withDefaults = (effects: readonly Effect[], use: EffectUse, target: Effect["target"]): EffectUse => ({
  ...defaultsFor(effects, use.effect, target),
  ...use,
});

function EffectCard(props: {
  use: EffectUse;
  effects: readonly Effect[];
  pid: string;
  onChange: (use: EffectUse) => void;
  onRemove: () => void;
}) {
  const effect = props.effects.find((one) => one.id === props.use.effect && one.target === "object");
  return (
    <div className="effect-card">
      <div className="effect-card__head">
        <span>{effect?.name ?? props.use.effect}</span>
        <IconButton small danger icon={Trash2} label="Remove this effect" onClick={props.onRemove} />
      </div>
      <SchemaForm
        schema={effect?.options ?? {}}
        values={props.use}
        pid={props.pid}
        onChange={(values) => props.onChange({ ...values, effect: props.use.effect })}
      />
    </div>
  );
}

function AddEffect({ effects, onAdd }: { effects: readonly Effect[]; onAdd: (use: EffectUse) => void }) {
  return (
    <ul className="swatches" aria-label="Add an effect">
      {effects
        .filter((one) => one.target === "object")
        .map((one) => (
          <li key={one.id}>
            <button
              type="button"
              className="swatch swatch--add"
              onClick={() => onAdd({ effect: one.id, ...defaultsOf(one.options) })}
            >
              <Plus size={12} aria-hidden /> {one.name}
            </button>
          </li>
        ))}
    </ul>
  );
}

const PREVIEW_WIDTH = 960;

function Preview({ composition, medium, ready }: { composition: Composition; medium: Medium; ready: boolean }) {
  const frame = useWorkspace((state) => state.frame);
  const [at, setAt] = useState(frame);
  const [url, setUrl] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const shown = useRef<string | null>(null);

  useEffect(() => {
    if (!ready) return;
    const abort = new AbortController();
    // A slider sends many values: the one on which it rests counts.
    const timer = setTimeout(() => {
      setBusy(true);
      api
        .getPreview(medium.id, at, composition, Math.min(PREVIEW_WIDTH, medium.width), abort.signal)
        .then(
          (blob) => {
            if (shown.current) URL.revokeObjectURL(shown.current);
            shown.current = URL.createObjectURL(blob);
            setUrl(shown.current);
            setError(null);
          },
          (problem: unknown) => {
            if (!api.isAbort(problem)) setError(messageOf(problem));
          },
        )
        .finally(() => {
          if (!abort.signal.aborted) setBusy(false);
        });
    }, 120);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [composition, at, medium, ready]);

  useEffect(
    () => () => {
      if (shown.current) URL.revokeObjectURL(shown.current);
    },
    [],
  );

  return (
    <figure className="preview">
      <div className="preview__picture" style={{ "--ratio": medium.width / medium.height } as CSSProperties}>
        {url && <img src={url} alt="Preview" />}
        {ready && !error && !url && (
          <p className="preview__text preview__text--busy">
            <Spinner label="Making a preview" /> Making a preview…
          </p>
        )}
        {ready && !error && url && busy && (
          <span className="preview__busy">
            <Spinner label="Making a preview" />
          </span>
        )}
        {!ready && <p className="preview__text">Choose a file for the background.</p>}
        {error && ready && (
          <p className="preview__text" role="alert">
            {error}
          </p>
        )}
      </div>
      {medium.num_frames > 1 && (
        <input
          className="slider"
          type="range"
          min={0}
          max={medium.num_frames - 1}
          value={at}
          aria-label="Frame of the preview"
          onChange={(event) => setAt(Number(event.currentTarget.value))}
        />
      )}
    </figure>
  );
}

// Masks and data.

function Data({ formats, medium }: { formats: readonly Format[]; medium: Medium }) {
  const objects = useWorkspace((state) => state.objects);
  const [id, setId] = useState(formats[0]?.id ?? "");
  const [options, setOptions] = useState<Options>({});
  const [onlyAccepted, setOnlyAccepted] = useState(false);
  const [left, setLeft] = useState<readonly number[]>([]);
  const { job, run, cancel } = useJob();
  const format = formats.find((one) => one.id === id);
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
              <ul className="checks">
                {objects.map((object) => (
                  <li key={object.id} className="check">
                    <span className="timeline__dot" style={{ background: object.color }} />
                    <span className="check__name">{object.name}</span>
                    <Switch
                      label={`Export ${object.name}`}
                      checked={!left.includes(object.id)}
                      onChange={(on) => setLeft(on ? left.filter((one) => one !== object.id) : [...left, object.id])}
                    />
                  </li>
                ))}
              </ul>
            </section>
          )}
        </div>
        <ExportFoot
          job={job}
          onCancel={cancel}
          isReady={objects.length > left.length}
          onExport={() => {
            const chosen = left.length ? objects.map((one) => one.id).filter((one) => !left.includes(one)) : null;
            run(() =>
              api.startExport(medium.id, { format: id, options, objects: chosen, only_accepted: onlyAccepted }),
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

function FormatList(props: { formats: readonly Format[]; id: string; onChoose: (id: string) => void }) {
  return (
    <ul className="formats" aria-label="Formats">
      {props.formats.map((one) => (
        <li key={one.id}>
          <button
            type="button"
            className="format"
            aria-pressed={one.id === props.id}
            onClick={() => props.onChoose(one.id)}
          >
            <strong>{one.name}</strong>
            <span>{one.description}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function JobLine({ job, onCancel }: { job: Job | null; onCancel: () => void }) {
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

/** All media of a project in one file. */
export function ProjectExport({ pid, onClose }: { pid: string; onClose: () => void }) {
  const formats = useCatalogue();
  const [id, setId] = useState("coco");
  const [onlyAccepted, setOnlyAccepted] = useState(false);
  const { job, run, cancel } = useJob();
  const choices = formats?.formats.filter((one) => /^(coco|yolo|png)/.test(one.id)) ?? [];
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
