import { useMemo, useState } from "react";
import * as api from "../../../api/client";
import type { Composition, Effect, EffectUse, FormatCatalogue, Medium, Options } from "../../../api/types";
import { useLastChoices } from "../../../exports/choices";
import { defaultsOf, knownValues } from "../../../exports/options";
import { SchemaForm } from "../../../exports/SchemaForm";
import { useJob } from "../../../exports/useJob";
import { Switch } from "../../../ui/kit";
import { type Range, useWorkspace } from "../../model/store";
import { defaultsFor, EffectList, withDefaults } from "./EffectList";
import { ExportFoot } from "./ExportFoot";
import { ObjectChecks } from "./ObjectChecks";
import { Preview } from "./Preview";

interface Preset {
  readonly name: string;
  readonly background: EffectUse;
  readonly effects: readonly EffectUse[];
}

const PRESETS: readonly Preset[] = [
  { name: "Cut-out", background: { effect: "transparent" }, effects: [] },
  { name: "Blurred background", background: { effect: "blur" }, effects: [] },
  { name: "New background", background: { effect: "color" }, effects: [] },
  { name: "Grey background", background: { effect: "gray" }, effects: [] },
  { name: "Spotlight", background: { effect: "none" }, effects: [{ effect: "spotlight" }] },
  { name: "Highlight", background: { effect: "none" }, effects: [{ effect: "highlight" }, { effect: "outline" }] },
  { name: "Pixelate", background: { effect: "none" }, effects: [{ effect: "pixelate" }] },
  { name: "Remove", background: { effect: "none" }, effects: [{ effect: "remove" }] },
];

const ALL_OBJECTS = "*";

interface LastEffects {
  readonly background: EffectUse;
  /** Effects of all objects. */
  readonly effects: readonly EffectUse[];
  readonly edges: Options;
  readonly container: string | null;
}

const find = (effects: readonly Effect[], id: string, target: Effect["target"], medium: Medium): Effect | undefined =>
  effects.find((effect) => effect.id === id && effect.target === target && effect.kinds.includes(medium.kind));

/** Return a remembered background, or a transparent one if this kind of medium cannot have it. */
function usable(effects: readonly Effect[], use: EffectUse, medium: Medium): EffectUse {
  const effect = find(effects, use.effect, "background", medium);
  return effect ? { effect: use.effect, ...knownValues(effect.options, use) } : { effect: "transparent" };
}

/** A picture or video with effects: a new background, highlighted or removed objects. */
export function EffectsTab({ medium, catalogue }: { medium: Medium; catalogue: FormatCatalogue }) {
  const { effects } = catalogue;
  const objects = useWorkspace((state) => state.objects);
  const range = useWorkspace((state) => state.range);
  // Effects on single objects are not remembered: another file has other objects.
  const [last, remember] = useLastChoices<LastEffects>(medium.project_id, `effects.${medium.kind}`, {
    background: { effect: "transparent" },
    effects: [],
    edges: {},
    container: null,
  });
  const [background, setBackground] = useState<EffectUse>(() => usable(effects, last.background, medium));
  const [perObject, setPerObject] = useState<Composition["objects"]>(() => ({
    [ALL_OBJECTS]: last.effects.filter((use) => find(effects, use.effect, "object", medium)),
  }));
  const [target, setTarget] = useState(ALL_OBJECTS);
  const [kept, setKept] = useState<readonly number[] | null>(null);
  const [edges, setEdges] = useState<Options>(() => ({
    ...defaultsOf(catalogue.edges),
    ...knownValues(catalogue.edges, last.edges),
  }));
  const composition = useMemo<Composition>(
    () => ({ background, objects: perObject, cutout: kept === null ? null : [...kept], edges }),
    [background, perObject, kept, edges],
  );
  const hasBackground = background.effect !== "none";
  const needsAsset = "asset_id" in defaultsFor(effects, background.effect, "background") && !background.asset_id;
  const applyPreset = (preset: Preset) => {
    setBackground(withDefaults(effects, preset.background, "background"));
    setPerObject({ [ALL_OBJECTS]: preset.effects.map((use) => withDefaults(effects, use, "object")) });
    setTarget(ALL_OBJECTS);
  };
  const keep = (id: number, isKept: boolean) => {
    const before = kept ?? objects.map((object) => object.id);
    const after = isKept ? [...before, id] : before.filter((other) => other !== id);
    setKept(after.length === objects.length ? null : after);
  };
  return (
    <div className="export">
      <div className="export__left">
        <Preview composition={composition} medium={medium} ready={!needsAsset} />
        <ul className="presets" aria-label="Presets">
          {PRESETS.map((preset) => (
            <li key={preset.name}>
              <button type="button" className="preset" onClick={() => applyPreset(preset)}>
                {preset.name}
              </button>
            </li>
          ))}
        </ul>
      </div>
      <div className="export__right">
        <div className="export__form">
          <BackgroundSection
            backgrounds={effects.filter(
              (effect) => effect.target === "background" && effect.kinds.includes(medium.kind),
            )}
            background={background}
            medium={medium}
            onChange={setBackground}
          />
          {hasBackground && objects.length > 1 && (
            <section className="export__section">
              <h3 className="export__title">Objects to keep</h3>
              <ObjectChecks verb="Keep" isOn={(id) => kept === null || kept.includes(id)} onChange={keep} />
            </section>
          )}
          {hasBackground && (
            <section className="export__section">
              <h3 className="export__title">Edges</h3>
              <SchemaForm
                schema={catalogue.edges}
                values={edges}
                pid={medium.project_id}
                kind={medium.kind}
                onChange={setEdges}
              />
            </section>
          )}
          <section className="export__section">
            <h3 className="export__title">Effects on objects</h3>
            <TargetSelect perObject={perObject} target={target} onChange={setTarget} />
            <EffectList
              uses={perObject[target] ?? []}
              effects={effects}
              pid={medium.project_id}
              kind={medium.kind}
              onChange={(uses) => setPerObject({ ...perObject, [target]: uses })}
            />
          </section>
        </div>
        <RenderFoot
          medium={medium}
          catalogue={catalogue}
          composition={composition}
          range={range}
          isReady={!needsAsset}
          container={last.container}
          onRender={(container) => remember({ background, effects: perObject[ALL_OBJECTS] ?? [], edges, container })}
        />
      </div>
    </div>
  );
}

function BackgroundSection(props: {
  backgrounds: readonly Effect[];
  background: EffectUse;
  medium: Medium;
  onChange: (background: EffectUse) => void;
}) {
  const { backgrounds, background, onChange } = props;
  return (
    <section className="export__section">
      <h3 className="export__title">Background</h3>
      <ul className="swatches">
        {backgrounds.map((effect) => (
          <li key={effect.id}>
            <button
              type="button"
              className="swatch"
              aria-pressed={effect.id === background.effect}
              onClick={() => onChange({ effect: effect.id, ...defaultsOf(effect.options) })}
            >
              {effect.name}
            </button>
          </li>
        ))}
      </ul>
      <SchemaForm
        schema={backgrounds.find((effect) => effect.id === background.effect)?.options ?? {}}
        values={background}
        pid={props.medium.project_id}
        kind={props.medium.kind}
        onChange={(values) => onChange({ ...values, effect: background.effect })}
      />
    </section>
  );
}

/** Chooses whose effects are edited: those of all objects, or of one. */
function TargetSelect(props: {
  perObject: Composition["objects"];
  target: string;
  onChange: (target: string) => void;
}) {
  const objects = useWorkspace((state) => state.objects);
  return (
    <select
      className="input"
      aria-label="Apply effects to"
      value={props.target}
      onChange={(event) => props.onChange(event.currentTarget.value)}
    >
      <option value={ALL_OBJECTS}>All objects</option>
      {objects.map((object) => (
        <option key={object.id} value={String(object.id)}>
          {object.name}
          {props.perObject[String(object.id)] ? " (with its own effects)" : ""}
        </option>
      ))}
    </select>
  );
}

/** Kind of file, range, and the button that starts the render. */
function RenderFoot(props: {
  medium: Medium;
  catalogue: FormatCatalogue;
  composition: Composition;
  range: Range | null;
  isReady: boolean;
  /** The last one chosen; null if none was. */
  container: string | null;
  onRender: (container: string | null) => void;
}) {
  const { medium, composition, range } = props;
  const [container, setContainer] = useState(props.container);
  const [onlyRange, setOnlyRange] = useState(range !== null);
  const { job, run, cancel } = useJob();
  const isTransparent = composition.background.effect === "transparent";
  const choices = props.catalogue.containers.filter(
    ({ kinds, has_alpha }) => kinds.includes(medium.kind) && (has_alpha || !isTransparent),
  );
  const usual = medium.kind === "image" ? "png" : isTransparent ? "webm" : "mp4";
  const choice = (id: string | null) => choices.find((container) => container.id === id);
  const chosen = choice(container) ?? choice(usual) ?? choices[0];
  const render = () => {
    const limits = onlyRange ? range : null;
    props.onRender(container);
    run(() =>
      api.startRender(medium.id, {
        composition,
        container: chosen.id,
        start: limits?.start ?? null,
        stop: limits?.stop ?? null,
      }),
    );
  };
  return (
    <ExportFoot job={job} onCancel={cancel} isReady={props.isReady} onExport={render}>
      <label className="field">
        <span className="field__label">File type</span>
        <select className="input" value={chosen?.id} onChange={(event) => setContainer(event.currentTarget.value)}>
          {choices.map((choice) => (
            <option key={choice.id} value={choice.id}>
              {choice.name}
            </option>
          ))}
        </select>
        <span className="field__hint">{chosen?.description}</span>
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
  );
}
