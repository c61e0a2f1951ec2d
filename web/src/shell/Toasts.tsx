import { CircleAlert, CircleCheck, X } from "lucide-react";
import { dismissToast, useApp } from "../state/app";
import { Button, IconButton } from "../ui/kit";
import { ConnectionBanner } from "./ConnectionBanner";

/** Short messages about what was done or failed, and about the connection. */
export function Toasts() {
  const toasts = useApp((state) => state.toasts);
  return (
    <div className="toasts" aria-live="polite">
      <ConnectionBanner />
      {toasts.map((shown) => {
        const Icon = shown.kind === "error" ? CircleAlert : CircleCheck;
        return (
          <div
            key={shown.id}
            className={`toast toast--${shown.kind}`}
            role={shown.kind === "error" ? "alert" : "status"}
          >
            <Icon className="toast__icon" size={16} aria-hidden />
            <span className="toast__text">{shown.text}</span>
            {shown.action && (
              <Button
                variant="ghost"
                onClick={() => {
                  dismissToast(shown.id);
                  shown.action?.run();
                }}
              >
                {shown.action.label}
              </Button>
            )}
            <IconButton small label="Dismiss" icon={X} onClick={() => dismissToast(shown.id)} />
          </div>
        );
      })}
    </div>
  );
}
