/** What a user has chosen, remembered in this browser. A browser that stores nothing remembers nothing. */

/** Read what was remembered; what is not an object, or cannot be read, is as if nothing were. */
export function readRemembered<T extends object>(text: string | null, usual: T): T {
  try {
    const stored: unknown = JSON.parse(text ?? "null");
    return stored !== null && typeof stored === "object" && !Array.isArray(stored) ? { ...usual, ...stored } : usual;
  } catch {
    return usual;
  }
}

/** Returns whether a field can have a value. */
type Check = (value: unknown) => boolean;

export const isOneOf =
  (...choices: readonly unknown[]): Check =>
  (value) =>
    choices.includes(value);

/** The limits are among the values. */
export const isNumber =
  (least: number, most: number): Check =>
  (value) =>
    typeof value === "number" && value >= least && value <= most;

/** The limits are among the values. */
export const isWhole =
  (least: number, most: number): Check =>
  (value) =>
    Number.isInteger(value) && isNumber(least, most)(value);

/** Read what was remembered for the fields that have a check; one that does not pass is as if it were not there. */
export function readChecked<T extends object>(
  text: string | null,
  usual: T,
  checks: { readonly [Name in keyof T]-?: Check },
): T {
  const stored = readRemembered(text, usual);
  const checked = { ...usual };
  for (const name of Object.keys(checks) as (keyof T)[]) if (checks[name](stored[name])) checked[name] = stored[name];
  return checked;
}

export function remember(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // A private window, or no space left.
  }
}
