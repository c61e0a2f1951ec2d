import { CheckCheck, Download, FolderOutput, RotateCcw, Trash2, Undo2, X } from "lucide-react";
import { useState } from "react";
import * as api from "../api/client";
import type { BulkAnswer } from "../api/types";
import { bulkMessage, inParts } from "../lib/bulk";
import { plural } from "../lib/text";
import { toast, toastError } from "../state/app";
import { Button, IconButton, Progress } from "../ui/kit";
import { MoveDialog } from "./MoveDialog";
import { ConfirmDelete } from "./Projects";

type Send = (part: readonly string[]) => Promise<BulkAnswer>;

/** Runs a change of many files and reports it, with a way back where there is one. */
export function useBulk(pid: string, onDone: () => void) {
  const [progress, setProgress] = useState<number | null>(null);
  const run = async (
    verb: string,
    ids: readonly string[],
    send: Send,
    undo: ((answer: BulkAnswer) => void) | null,
  ): Promise<void> => {
    setProgress(0);
    const { answer, error } = await inParts(ids, api.MAX_BULK, send, (done) => setProgress(done / ids.length));
    setProgress(null);
    onDone();
    const action = undo && answer.done.length ? { label: "Undo", run: () => undo(answer) } : undefined;
    if (answer.done.length || answer.skipped.length) toast(bulkMessage(verb, answer), action);
    if (error) toastError(error);
  };
  const idsOf = (answer: BulkAnswer) => answer.done.map(({ id }) => id);
  const takeBack = async (answer: BulkAnswer): Promise<void> => {
    const { answer: undone, error } = await inParts(answer.done, api.MAX_BULK, (part) => api.undoMedia(pid, part));
    onDone();
    toast(bulkMessage("Undone for", undone));
    if (error) toastError(error);
  };
  const restore = (ids: readonly string[]) => run("Restored", ids, (part) => api.restoreMedia(pid, part), null);
  return {
    progress,
    accept: (ids: readonly string[], accepted: boolean) =>
      run(
        accepted ? "Accepted" : "Reopened",
        ids,
        (part) => api.acceptMedia(pid, part, accepted),
        (answer) => void takeBack(answer),
      ),
    trash: (ids: readonly string[]) =>
      run(
        "Moved to the trash:",
        ids,
        (part) => api.trashMedia(pid, part),
        (answer) => void restore(idsOf(answer)),
      ),
    restore,
    remove: (ids: readonly string[]) => run("Deleted", ids, (part) => api.deleteTrashedMedia(pid, part), null),
    move: (ids: readonly string[], target: string) =>
      run(
        "Moved",
        ids,
        (part) => api.moveMedia(pid, part, target),
        (answer) => {
          void inParts(idsOf(answer), api.MAX_BULK, (part) => api.moveMedia(target, part, pid)).then(onDone);
        },
      ),
  };
}

type Bulk = ReturnType<typeof useBulk>;

/** The actions on selected files, at the foot of the page. */
export function BulkBar(props: {
  pid: string;
  ids: readonly string[];
  total: number;
  inTrash: boolean;
  bulk: Bulk;
  onSelectAll: () => void;
  onClear: () => void;
  onExport: () => void;
}) {
  const { ids, bulk } = props;
  const [asking, setAsking] = useState<"trash" | "delete" | "move" | null>(null);
  const files = plural(ids.length, "file");
  const isBusy = bulk.progress !== null;
  return (
    <section className="bulk" aria-label="Selected files">
      <div className="bulk__bar">
        <span className="bulk__count num" role="status">
          {files} selected
        </span>
        {ids.length < props.total && (
          <Button variant="ghost" disabled={isBusy} onClick={props.onSelectAll}>
            {`Select all ${props.total.toLocaleString("en")}`}
          </Button>
        )}
        <IconButton icon={X} label="Clear the selection" keys="Esc" onClick={props.onClear} />
        <span className="bulk__space" />
        {props.inTrash ? (
          <>
            <Button icon={Undo2} disabled={isBusy} onClick={() => void bulk.restore(ids)}>
              Restore
            </Button>
            <Button variant="danger" icon={Trash2} disabled={isBusy} onClick={() => setAsking("delete")}>
              Delete for good
            </Button>
          </>
        ) : (
          <>
            <Button
              icon={CheckCheck}
              tip="Say that all masks are right: nothing changes them any more"
              disabled={isBusy}
              onClick={() => void bulk.accept(ids, true)}
            >
              Accept
            </Button>
            <Button
              icon={RotateCcw}
              tip="Take acceptance back, to change masks"
              disabled={isBusy}
              onClick={() => void bulk.accept(ids, false)}
            >
              Reopen
            </Button>
            <Button icon={Download} disabled={isBusy} onClick={props.onExport}>
              Export
            </Button>
            <Button icon={FolderOutput} disabled={isBusy} onClick={() => setAsking("move")}>
              Move
            </Button>
            <Button variant="danger" icon={Trash2} disabled={isBusy} onClick={() => setAsking("trash")}>
              Delete
            </Button>
          </>
        )}
      </div>
      {bulk.progress !== null && <Progress value={bulk.progress} label="Progress of the change" />}
      {asking === "trash" && (
        <ConfirmDelete
          what={files}
          detail="The files and their masks go to the trash of this project, from which you can restore them for 30 days."
          onClose={() => setAsking(null)}
          onConfirm={() => {
            setAsking(null);
            void bulk.trash(ids);
          }}
        />
      )}
      {asking === "delete" && (
        <ConfirmDelete
          what={`${files} for good`}
          detail="The files and their masks are deleted from this studio and cannot be restored. The originals on your disk are kept."
          onClose={() => setAsking(null)}
          onConfirm={() => {
            setAsking(null);
            void bulk.remove(ids);
          }}
        />
      )}
      {asking === "move" && (
        <MoveDialog
          pid={props.pid}
          files={files}
          onClose={() => setAsking(null)}
          onChoose={(target) => {
            setAsking(null);
            void bulk.move(ids, target);
          }}
        />
      )}
    </section>
  );
}
