/** Files and folders that are dropped or chosen, and their upload. */

import { type DragEvent, type ReactNode, useRef, useState } from "react";
import * as api from "../api/client";
import { messageOf, naturalOrder } from "../lib/text";

const IMAGE = /\.(jpe?g|png|webp|bmp|gif|tiff?|avif|heic|ppm|pgm)$/i;
export const isImage = (file: File): boolean => file.type.startsWith("image/") || IMAGE.test(file.name);

/** Files dropped on the list of projects, until the new project's page uploads them. */
const kept = new Map<string, readonly File[]>();
export const keepForProject = (pid: string, files: readonly File[]): void => {
  if (files.length) kept.set(pid, files);
};
export function takeKept(pid: string): readonly File[] {
  const files = kept.get(pid) ?? [];
  kept.delete(pid);
  return files;
}

const hasFiles = (event: DragEvent): boolean => [...event.dataTransfer.types].includes("Files");

async function readEntry(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    return new Promise((resolve) =>
      (entry as FileSystemFileEntry).file(
        (file) => resolve([file]),
        () => resolve([]),
      ),
    );
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  for (;;) {
    // A reader gives at most 100 entries at a time.
    const batch = await new Promise<FileSystemEntry[]>((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!batch.length) return files;
    for (const child of batch) if (!child.name.startsWith(".")) files.push(...(await readEntry(child)));
  }
}

/** Return all files of a drop, including those in folders, in natural order. */
export async function readDrop(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const files = entries.length ? (await Promise.all(entries.map(readEntry))).flat() : [...transfer.files];
  return files.sort((a, b) => naturalOrder(a.name, b.name));
}

export function DropZone(props: {
  className: string;
  hint: string;
  children: ReactNode;
  onDrop: (transfer: DataTransfer) => void;
}) {
  const [over, setOver] = useState(false);
  const depth = useRef(0);
  return (
    <main
      className={props.className}
      onDragEnter={(event) => {
        if (!hasFiles(event)) return;
        depth.current++;
        setOver(true);
      }}
      onDragLeave={() => {
        depth.current = Math.max(0, depth.current - 1);
        if (depth.current === 0) setOver(false);
      }}
      onDragOver={(event) => {
        if (hasFiles(event)) event.preventDefault();
      }}
      onDrop={(event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        depth.current = 0;
        setOver(false);
        props.onDrop(event.dataTransfer);
      }}
    >
      {props.children}
      {over && (
        <div className="drop-hint">
          <span>{props.hint}</span>
        </div>
      )}
    </main>
  );
}

/** One line in the list of uploads. */
export interface Upload {
  readonly id: number;
  readonly name: string;
  /** 0..1; 1 while the server reads the file. */
  readonly progress: number;
  readonly error: string | null;
  readonly cancel: (() => void) | null;
}

let nextUpload = 1;

/** Upload files one by one, or as one sequence, reporting the progress of each. */
export async function uploadAll(
  pid: string,
  files: readonly File[],
  as: "auto" | "sequence",
  onChange: (upload: Upload, finished: boolean) => void,
  onAdded: () => void,
): Promise<void> {
  const batches = as === "sequence" ? [files] : files.map((file) => [file]);
  const planned = batches.map((batch) => {
    const stop = new AbortController();
    const name = batch.length > 1 ? `${batch.length} images as one video` : batch[0].name;
    const upload: Upload = { id: nextUpload++, name, progress: 0, error: null, cancel: () => stop.abort() };
    onChange(upload, false);
    return { batch, stop, upload };
  });
  for (const { batch, stop, upload } of planned) {
    if (stop.signal.aborted) {
      onChange(upload, true);
      continue;
    }
    try {
      const report = await api.uploadMedia(
        pid,
        batch,
        as,
        (progress) => onChange({ ...upload, progress }, false),
        stop.signal,
      );
      onAdded();
      const error = report.rejected.map((file) => file.message).join(" ") || null;
      onChange({ ...upload, progress: 1, error, cancel: null }, error === null);
    } catch (error) {
      if (api.isAbort(error)) onChange(upload, true);
      else onChange({ ...upload, error: messageOf(error), cancel: null }, false);
    }
  }
}
