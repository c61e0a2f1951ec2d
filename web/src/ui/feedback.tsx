/** Progress, waiting, and empty lists. */

import type { LucideIcon } from "lucide-react";
import type { ReactNode } from "react";

export function Progress({ value, label }: { value: number | null; label: string }) {
  return (
    <div
      className={value === null ? "progress progress--unknown" : "progress"}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={value === null ? undefined : Math.round(value * 100)}
    >
      <div className="progress__bar" style={value === null ? undefined : { width: `${value * 100}%` }} />
    </div>
  );
}

export const Spinner = ({ label = "Loading" }: { label?: string }) => (
  <span className="spinner" role="status" aria-label={label} />
);

export function Empty(props: { icon: LucideIcon; title: string; children: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <props.icon size={28} strokeWidth={1.5} aria-hidden color="var(--faint)" />
      <h2 className="empty__title">{props.title}</h2>
      <div className="empty__text">{props.children}</div>
      {props.action}
    </div>
  );
}
