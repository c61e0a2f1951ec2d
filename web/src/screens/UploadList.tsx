import { X } from "lucide-react";
import { IconButton, Progress } from "../ui/kit";
import type { Upload } from "./upload";

/** Uploads that are not finished, and those that failed until they are dismissed. */
export function UploadList(props: { uploads: readonly Upload[]; onDismiss: (id: number) => void }) {
  return (
    <ul className="uploads" aria-label="Uploads">
      {props.uploads.map((item) => (
        <li key={item.id} className={item.error ? "upload upload--error" : "upload"}>
          <div className="upload__line">
            <span className="upload__name">{item.name}</span>
            <span className="upload__state" role={item.error ? "alert" : undefined}>
              {item.error ??
                (item.progress >= 1
                  ? "Reading…"
                  : item.progress > 0
                    ? `${Math.round(item.progress * 100)} %`
                    : "Waiting")}
            </span>
            <IconButton
              small
              icon={X}
              label={item.error ? "Dismiss" : "Cancel upload"}
              onClick={() => {
                item.cancel?.();
                if (item.error) props.onDismiss(item.id);
              }}
            />
          </div>
          {!item.error && (
            <Progress value={item.progress >= 1 ? null : item.progress} label={`Upload of ${item.name}`} />
          )}
        </li>
      ))}
    </ul>
  );
}
