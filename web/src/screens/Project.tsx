import { Clapperboard, Download, FolderUp, Shapes, Upload as UploadIcon } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import * as api from "../api/client";
import type { Medium, Project } from "../api/types";
import { ProjectExport } from "../exports/ProjectExport";
import { Header } from "../shell/Header";
import { onReconnected, toast, toastError, useApp } from "../state/app";
import { go } from "../state/route";
import { Button, Empty, InlineText, Spinner } from "../ui/kit";
import { MediumCard } from "./MediumCard";
import { ConfirmDelete, NameDialog } from "./Projects";
import { SequenceDialog } from "./SequenceDialog";
import { UploadList } from "./UploadList";
import { DropZone, isImage, readDrop, takeKept, type Upload, uploadAll } from "./upload";

export function ProjectScreen({ pid }: { pid: string }) {
  const [project, setProject] = useState<Project | null>(null);
  const [media, setMedia] = useState<readonly Medium[] | null>(null);
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const [asking, setAsking] = useState<readonly File[] | null>(null);
  const [renaming, setRenaming] = useState<Medium | null>(null);
  const [deleting, setDeleting] = useState<Medium | null>(null);
  const [exporting, setExporting] = useState(false);
  const [missing, setMissing] = useState<string | null>(null);
  const limits = useApp((state) => state.info?.limits);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);

  const load = () => {
    api.getProject(pid).then(
      (loaded) => {
        setProject(loaded);
        document.title = `${loaded.name} · masklet studio`;
      },
      (error: unknown) =>
        error instanceof api.ApiError && error.status === 404 ? setMissing(error.message) : toastError(error),
    );
    api.listMedia(pid).then(setMedia, () => {});
  };

  const upload = (chosen: readonly File[], as: "auto" | "sequence") => {
    const onChange = (changed: Upload, finished: boolean) =>
      setUploads((shown) => {
        if (finished) return shown.filter((other) => other.id !== changed.id);
        if (shown.some((other) => other.id === changed.id))
          return shown.map((other) => (other.id === changed.id ? changed : other));
        return [...shown, changed];
      });
    void uploadAll(pid, chosen, as, onChange, (added) => setMedia((shown) => [...(shown ?? []), ...added])).then(load);
  };

  const offer = (chosen: readonly File[]) => {
    if (!chosen.length) return;
    if (chosen.length > 1 && chosen.every(isImage)) setAsking(chosen);
    else upload(chosen, "auto");
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: once per project, and after a lost connection
  useEffect(() => {
    load();
    offer(takeKept(pid));
    return onReconnected(load);
  }, [pid]);

  if (missing) {
    return (
      <>
        <Header />
        <Empty
          icon={Shapes}
          title="Project not found"
          action={<Button onClick={() => go({ screen: "projects" })}>All projects</Button>}
        >
          {missing}
        </Empty>
      </>
    );
  }

  const rename = (name: string) => void api.renameProject(pid, name).then(setProject, toastError);
  const choose = (event: React.ChangeEvent<HTMLInputElement>) => {
    offer([...(event.currentTarget.files ?? [])]);
    event.currentTarget.value = "";
  };

  return (
    <>
      <Header />
      <DropZone
        className="page"
        hint="Drop to add to this project"
        onDrop={(transfer) => void readDrop(transfer).then(offer)}
      >
        <div className="page__head">
          <div className="page__titles">
            <a
              className="crumb"
              href="/"
              onClick={(event) => {
                event.preventDefault();
                go({ screen: "projects" });
              }}
            >
              Projects
            </a>
            <h1 className="page__title">
              {project && (
                <InlineText className="page__title" label="Project name" value={project.name} onChange={rename} />
              )}
            </h1>
          </div>
          <div className="page__actions">
            {media && media.length > 0 && (
              <Button icon={Download} onClick={() => setExporting(true)}>
                Export all
              </Button>
            )}
            <Button icon={FolderUp} onClick={() => folder.current?.click()}>
              Folder
            </Button>
            <Button variant="primary" icon={UploadIcon} onClick={() => files.current?.click()}>
              Add files
            </Button>
          </div>
          <input ref={files} type="file" multiple hidden onChange={choose} data-testid="files" />
          <input
            ref={(input) => {
              folder.current = input;
              input?.setAttribute("webkitdirectory", "");
            }}
            type="file"
            multiple
            hidden
            onChange={choose}
          />
        </div>

        {uploads.length > 0 && (
          <UploadList
            uploads={uploads}
            onDismiss={(id) => setUploads((shown) => shown.filter((other) => other.id !== id))}
          />
        )}

        {media === null ? (
          <div className="screen-centre">
            <Spinner />
          </div>
        ) : media.length === 0 && uploads.length === 0 ? (
          <Empty
            icon={Clapperboard}
            title="Drop images, videos or a folder here"
            action={
              <Button variant="primary" large icon={UploadIcon} onClick={() => files.current?.click()}>
                Choose files
              </Button>
            }
          >
            Anything FFmpeg can read. A folder of numbered images can become one video.
            {limits &&
              ` Up to ${Math.round(limits.max_seconds / 60)} minutes and ${Math.round(limits.max_bytes / 1e9)} GB each.`}
          </Empty>
        ) : (
          <ul className="cards">
            {media.map((medium) => (
              <MediumCard
                key={medium.id}
                medium={medium}
                onRename={() => setRenaming(medium)}
                onDelete={() => setDeleting(medium)}
              />
            ))}
          </ul>
        )}
      </DropZone>

      {asking && (
        <SequenceDialog
          numImages={asking.length}
          onClose={() => setAsking(null)}
          onChoose={(as) => {
            setAsking(null);
            upload(asking, as);
          }}
        />
      )}
      {renaming && (
        <NameDialog
          title="Rename"
          value={renaming.name}
          action="Rename"
          onClose={() => setRenaming(null)}
          onName={(name) => {
            setRenaming(null);
            void api.renameMedium(renaming.id, name).then(load, toastError);
          }}
        />
      )}
      {deleting && (
        <ConfirmDelete
          what={`“${deleting.name}”`}
          detail="The file and all its masks are deleted from this studio for good. The original on your disk is kept."
          onClose={() => setDeleting(null)}
          onConfirm={() => {
            setDeleting(null);
            void api.deleteMedium(deleting.id).then(() => {
              toast(`Deleted “${deleting.name}”`);
              load();
            }, toastError);
          }}
        />
      )}
      {exporting && <ProjectExport pid={pid} onClose={() => setExporting(false)} />}
    </>
  );
}
