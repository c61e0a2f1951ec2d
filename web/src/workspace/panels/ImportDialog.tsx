import { FileInput, FolderUp } from "lucide-react";
import { useRef, useState } from "react";
import type { ImportMode } from "../../api/types";
import { useCatalogue } from "../../exports/catalogue";
import { Button, Dialog, Spinner } from "../../ui/kit";
import * as actions from "../model/actions";

const MODES: readonly { readonly id: ImportMode; readonly label: string; readonly what: string }[] = [
  { id: "add", label: "Add as new objects.", what: "Nothing here changes." },
  { id: "merge", label: "Merge.", what: "Masks of the file replace those on the same frames; other frames stay." },
  { id: "replace", label: "Replace.", what: "All masks, the name and the class come from the file." },
];

export function ImportDialog({ onClose }: { onClose: () => void }) {
  const catalogue = useCatalogue();
  const [format, setFormat] = useState("auto");
  const [mode, setMode] = useState<ImportMode>("add");
  const [busy, setBusy] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const take = (input: HTMLInputElement) => {
    const chosen = [...(input.files ?? [])];
    input.value = "";
    if (!chosen.length) return;
    setBusy(true);
    void actions.importMasks(format, mode, chosen).then((done) => {
      setBusy(false);
      if (done) onClose();
    });
  };
  return (
    <Dialog title="Import masks" onClose={onClose}>
      <div className="dialog__body import">
        <p className="import__text">Import existing masks to correct and export them. You can undo the import.</p>
        <label className="field">
          <span className="field__label">Format</span>
          <select className="input" value={format} onChange={(event) => setFormat(event.currentTarget.value)}>
            <option value="auto">Detect automatically</option>
            {(catalogue?.imports ?? []).map(({ id, description }) => (
              <option key={id} value={id}>
                {description[0].toUpperCase() + description.slice(1)}
              </option>
            ))}
          </select>
        </label>
        <fieldset className="import__modes">
          <legend className="field__label">Objects with the same number as one here</legend>
          {MODES.map(({ id, label, what }) => (
            <label key={id} className="import__mode">
              <input type="radio" name="mode" checked={mode === id} onChange={() => setMode(id)} />
              <span>
                <strong>{label}</strong> <span className="import__what">{what}</span>
              </span>
            </label>
          ))}
        </fieldset>
        <input
          ref={files}
          type="file"
          multiple
          hidden
          data-testid="import-files"
          onChange={(event) => take(event.currentTarget)}
        />
        <input
          ref={(input) => {
            folder.current = input;
            input?.setAttribute("webkitdirectory", "");
          }}
          type="file"
          multiple
          hidden
          onChange={(event) => take(event.currentTarget)}
        />
        <div className="import__buttons">
          {busy && <Spinner label="Importing" />}
          <Button icon={FolderUp} disabled={busy} onClick={() => folder.current?.click()}>
            Folder
          </Button>
          <Button variant="primary" icon={FileInput} disabled={busy} onClick={() => files.current?.click()}>
            Choose files
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
