/** Forms made from JSON schemas: the options of formats and effects. */

import { ImageUp } from "lucide-react";
import { useId, useRef, useState } from "react";
import * as api from "../api/client";
import type { Medium, OptionSchema, Options } from "../api/types";
import { toastError } from "../state/app";
import { Button, Spinner, Switch } from "../ui/kit";
import { optionsInUse } from "./options";

interface FormProps {
  readonly schema: OptionSchema;
  readonly values: Options;
  readonly pid: string;
  /** The kind of medium that is exported; null if there may be both. */
  readonly kind: Medium["kind"] | null;
  readonly onChange: (values: Options) => void;
}

export function SchemaForm({ schema, values, pid, kind, onChange }: FormProps) {
  const entries = optionsInUse(schema, values, kind);
  if (!entries.length) return null;
  return (
    <div className="schema-form">
      {entries.map(([name, option]) => (
        <Field
          key={name}
          name={name}
          schema={option}
          pid={pid}
          value={values[name] ?? option.default ?? null}
          onChange={(value) => onChange({ ...values, [name]: value })}
        />
      ))}
    </div>
  );
}

/** Return the type of an option apart from "null", which says that it may be left out. */
function typeOf(schema: OptionSchema): { type: string; schema: OptionSchema; nullable: boolean } {
  const alternatives = schema.anyOf ?? [];
  const main = alternatives.find((option) => option.type !== "null");
  if (main) {
    const nullable = alternatives.some((option) => option.type === "null");
    return { type: typeOf(main).type, schema: { ...schema, ...main }, nullable };
  }
  const types = typeof schema.type === "string" ? [schema.type] : (schema.type ?? []);
  return { type: types.find((type) => type !== "null") ?? "string", schema, nullable: types.includes("null") };
}

interface FieldProps {
  readonly name: string;
  readonly schema: OptionSchema;
  readonly value: unknown;
  readonly pid: string;
  readonly onChange: (value: unknown) => void;
}

function Field({ name, schema: ownSchema, value, pid, onChange }: FieldProps) {
  const id = useId();
  const { type, schema, nullable } = typeOf(ownSchema);
  const words = name.replaceAll("_", " ");
  const label = schema.title ?? words[0].toUpperCase() + words.slice(1);
  const hint = schema.description;
  if (type === "boolean") {
    return (
      <div className="field field--row">
        <label htmlFor={id} className="field__text">
          {label}
          {hint && <span className="field__hint">{hint}</span>}
        </label>
        <Switch id={id} label={label} checked={value === true} onChange={onChange} />
      </div>
    );
  }
  if (schema.format === "asset") {
    const accept = /video/i.test(label) ? "video/*" : "image/*";
    return (
      <AssetField
        label={label}
        accept={accept}
        value={typeof value === "string" ? value : null}
        pid={pid}
        onChange={onChange}
      />
    );
  }
  if (schema.format === "color") {
    return (
      <div className="field field--row">
        <label htmlFor={id}>{label}</label>
        <span className="field__group">
          {nullable && value !== null && (
            <Button variant="ghost" onClick={() => onChange(null)}>
              Use the object's colour
            </Button>
          )}
          {nullable && value === null ? (
            <Button onClick={() => onChange("#ffffff")}>The object's colour</Button>
          ) : (
            <input
              id={id}
              className="input input--color"
              type="color"
              value={typeof value === "string" ? value : "#000000"}
              onChange={(event) => onChange(event.currentTarget.value)}
            />
          )}
        </span>
      </div>
    );
  }
  if (schema.enum) {
    return (
      <div className="field field--row">
        <label htmlFor={id} className="field__text">
          {label}
          {hint && <span className="field__hint">{hint}</span>}
        </label>
        <select
          id={id}
          className="input input--choice"
          value={String(value ?? "")}
          onChange={(event) =>
            onChange(schema.enum?.find((choice) => String(choice) === event.currentTarget.value) ?? null)
          }
        >
          {nullable && <option value="">Automatic</option>}
          {schema.enum.map((choice) => (
            <option key={String(choice)} value={String(choice)}>
              {schema["x-names"]?.[String(choice)] ?? String(choice)}
            </option>
          ))}
        </select>
      </div>
    );
  }
  if (type === "number" || type === "integer") {
    return (
      <NumberField
        id={id}
        label={label}
        hint={hint}
        schema={schema}
        nullable={nullable}
        isInteger={type === "integer"}
        value={typeof value === "number" ? value : null}
        onChange={onChange}
      />
    );
  }
  if (type !== "string") return null;
  return (
    <label className="field">
      <span className="field__label">{label}</span>
      <input
        className="input"
        value={typeof value === "string" ? value : ""}
        onChange={(event) => onChange(event.currentTarget.value || (nullable ? null : ""))}
      />
      {hint && <span className="field__hint">{hint}</span>}
    </label>
  );
}

function NumberField(props: {
  id: string;
  label: string;
  hint: string | undefined;
  schema: OptionSchema;
  nullable: boolean;
  isInteger: boolean;
  value: number | null;
  onChange: (value: number | null) => void;
}) {
  const { minimum, maximum, multipleOf } = props.schema;
  // A slider suits values judged by eye; large counts are typed.
  const isSlider = minimum !== undefined && maximum !== undefined && !(props.isInteger && maximum - minimum > 100);
  const step = multipleOf ?? (props.isInteger ? 1 : isSlider ? (maximum - minimum) / 100 : "any");
  const shown = props.value === null ? "" : Number(props.value.toFixed(2));
  if (isSlider) {
    return (
      <div className="field">
        <label htmlFor={props.id} className="field__line">
          {props.label}
          <span className="num field__value">{shown}</span>
        </label>
        <input
          id={props.id}
          className="slider"
          type="range"
          min={minimum}
          max={maximum}
          step={step}
          value={props.value ?? minimum}
          onChange={(event) => props.onChange(Number(event.currentTarget.value))}
        />
        {props.hint && <span className="field__hint">{props.hint}</span>}
      </div>
    );
  }
  return (
    <div className="field field--row">
      <label htmlFor={props.id} className="field__text">
        {props.label}
        {props.hint && <span className="field__hint">{props.hint}</span>}
      </label>
      <input
        id={props.id}
        className="input input--number num"
        type="number"
        min={minimum}
        max={maximum}
        step={step}
        value={shown}
        placeholder={props.nullable ? "auto" : undefined}
        onChange={(event) => {
          const number = event.currentTarget.valueAsNumber;
          if (Number.isFinite(number)) props.onChange(number);
          else if (props.nullable) props.onChange(null);
        }}
      />
    </div>
  );
}

function AssetField(props: {
  label: string;
  accept: string;
  value: string | null;
  pid: string;
  onChange: (id: string) => void;
}) {
  const input = useRef<HTMLInputElement>(null);
  const [name, setName] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  return (
    <div className="field field--row">
      <span className="field__text">{props.label}</span>
      <input
        ref={input}
        type="file"
        hidden
        accept={props.accept}
        data-testid="asset"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          event.currentTarget.value = "";
          if (!file) return;
          setBusy(true);
          api
            .uploadAsset(props.pid, file)
            .then((asset) => {
              setName(asset.name);
              props.onChange(asset.id);
            }, toastError)
            .finally(() => setBusy(false));
        }}
      />
      <Button icon={ImageUp} disabled={busy} onClick={() => input.current?.click()}>
        {busy ? <Spinner label="Uploading" /> : props.value ? (name ?? "Chosen") : "Choose…"}
      </Button>
    </div>
  );
}
