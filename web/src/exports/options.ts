/** Options that JSON schemas describe: their defaults, and which of them matter. */

import type { Medium, OptionSchema, Options } from "../api/types";

/** Return the defaults of all options that have one. */
export function defaultsOf(schema: OptionSchema): Options {
  const entries = Object.entries(schema.properties ?? {});
  return Object.fromEntries(
    entries.filter(([, option]) => option.default !== undefined).map(([name, option]) => [name, option.default]),
  );
}

/** Return the options that do something: for this kind of medium (null: for both), and with the other values. */
export function optionsInUse(
  schema: OptionSchema,
  values: Options,
  kind: Medium["kind"] | null,
): readonly (readonly [name: string, schema: OptionSchema])[] {
  const all = { ...defaultsOf(schema), ...values };
  return Object.entries(schema.properties ?? {}).filter(([, option]) => {
    if (option.const !== undefined) return false;
    if (kind !== null && option["x-only-for"] !== undefined && option["x-only-for"] !== kind) return false;
    return Object.entries(option["x-only-if"] ?? {}).every(([other, wanted]) => wanted.includes(String(all[other])));
  });
}

/** Drop values of options that the schema does not have, as they may be remembered from another version. */
export const knownValues = (schema: OptionSchema, values: Options): Options =>
  Object.fromEntries(Object.entries(values).filter(([name]) => name in (schema.properties ?? {})));
