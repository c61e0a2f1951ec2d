/** Numbers and times as text. */

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = count;
  let unit = -1;
  do {
    value /= 1000;
    unit++;
  } while (value >= 1000 && unit < units.length - 1);
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const plural = (count: number, singular: string, many = `${singular}s`): string =>
  `${count.toLocaleString("en")} ${count === 1 ? singular : many}`;

const STEPS: readonly (readonly [limit: number, divisor: number, unit: Intl.RelativeTimeFormatUnit])[] = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [86400, 3600, "hour"],
  [86400 * 30, 86400, "day"],
  [86400 * 365, 86400 * 30, "month"],
  [Number.POSITIVE_INFINITY, 86400 * 365, "year"],
];

export function ago(iso: string, now = Date.now()): string {
  const seconds = (now - Date.parse(iso)) / 1000;
  if (!Number.isFinite(seconds) || seconds < 45) return "just now";
  const [, divisor, unit] = STEPS.find(([limit]) => seconds < limit) ?? STEPS[STEPS.length - 1];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.round(seconds / divisor), unit);
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** clip 2 before clip 10. */
export const naturalOrder = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;
