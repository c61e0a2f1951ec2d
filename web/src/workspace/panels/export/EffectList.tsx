import { Plus, Trash2 } from "lucide-react";
import type { Effect, EffectUse, Medium, Options } from "../../../api/types";
import { defaultsOf } from "../../../exports/options";
import { SchemaForm } from "../../../exports/SchemaForm";
import { IconButton } from "../../../ui/kit";

/** Return the defaults of an effect's options; empty for an unknown effect. */
export function defaultsFor(effects: readonly Effect[], id: string, target: Effect["target"]): Options {
  const effect = effects.find((candidate) => candidate.id === id && candidate.target === target);
  return effect ? defaultsOf(effect.options) : {};
}

/** Complete an effect with the defaults of its options. */
export const withDefaults = (effects: readonly Effect[], use: EffectUse, target: Effect["target"]): EffectUse => ({
  ...defaultsFor(effects, use.effect, target),
  ...use,
});

/** The effects of an object, each with its options, and the ones that can be added. */
export function EffectList(props: {
  uses: readonly EffectUse[];
  effects: readonly Effect[];
  pid: string;
  kind: Medium["kind"];
  onChange: (uses: readonly EffectUse[]) => void;
}) {
  const { uses, effects, pid, kind, onChange } = props;
  return (
    <>
      {uses.map((use, i) => (
        <EffectCard
          // biome-ignore lint/suspicious/noArrayIndexKey: effects of a list have no other name
          key={`${use.effect}-${i}`}
          use={use}
          effects={effects}
          pid={pid}
          kind={kind}
          onChange={(changed) => onChange(uses.map((other, j) => (j === i ? changed : other)))}
          onRemove={() => onChange(uses.filter((_, j) => j !== i))}
        />
      ))}
      <AddEffect
        effects={effects.filter((effect) => effect.kinds.includes(kind))}
        onAdd={(use) => onChange([...uses, use])}
      />
    </>
  );
}

function EffectCard(props: {
  use: EffectUse;
  effects: readonly Effect[];
  pid: string;
  kind: Medium["kind"];
  onChange: (use: EffectUse) => void;
  onRemove: () => void;
}) {
  const effect = props.effects.find((candidate) => candidate.id === props.use.effect && candidate.target === "object");
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
        kind={props.kind}
        onChange={(values) => props.onChange({ ...values, effect: props.use.effect })}
      />
    </div>
  );
}

function AddEffect({ effects, onAdd }: { effects: readonly Effect[]; onAdd: (use: EffectUse) => void }) {
  return (
    <ul className="swatches" aria-label="Add an effect">
      {effects
        .filter((effect) => effect.target === "object")
        .map((effect) => (
          <li key={effect.id}>
            <button
              type="button"
              className="swatch swatch--add"
              onClick={() => onAdd({ effect: effect.id, ...defaultsOf(effect.options) })}
            >
              <Plus size={12} aria-hidden /> {effect.name}
            </button>
          </li>
        ))}
    </ul>
  );
}
