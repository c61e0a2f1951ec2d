import {
  ArrowLeft,
  ChevronLeft,
  ChevronRight,
  Clapperboard,
  Download,
  FolderUp,
  SearchX,
  Shapes,
  Trash2,
  Upload as UploadIcon,
} from "lucide-react";
import { useEffect, useRef, useState } from "react";
import * as api from "../api/client";
import type { Medium } from "../api/types";
import { ProjectExport } from "../exports/ProjectExport";
import {
  EVERYTHING,
  filterOf,
  formatView,
  isFiltered,
  type ListView,
  PAGE_SIZE,
  parseView,
  toggleSelected,
} from "../lib/mediaList";
import { Header } from "../shell/Header";
import { toastError, useApp } from "../state/app";
import { go, lastList, rememberList } from "../state/route";
import { Button, Empty, IconButton, InlineText, Spinner } from "../ui/kit";
import { BulkBar, useBulk } from "./BulkBar";
import { MediaFilters } from "./MediaFilters";
import { MediumCard } from "./MediumCard";
import { ProjectProgress } from "./ProjectProgress";
import { NameDialog } from "./Projects";
import { SequenceDialog } from "./SequenceDialog";
import { UploadList } from "./UploadList";
import { DropZone, isImage, readDrop, takeKept, type Upload, uploadAll } from "./upload";
import { useMedia } from "./useMedia";

/** A project: its progress, its media, and what can be done with them. */
export function ProjectScreen({ pid, list: address }: { pid: string; list: string }) {
  const [view, setView] = useState(() => parseView(address || lastList(pid)));
  const { project, classes, list, missing, setProject, reload } = useMedia(pid, view);
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const [asking, setAsking] = useState<readonly File[] | null>(null);
  const [renaming, setRenaming] = useState<Medium | null>(null);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  /** Where a range of the selection begins. */
  const [anchor, setAnchor] = useState<string | null>(null);
  /** Ids of the files to export; null for all. */
  const [exporting, setExporting] = useState<readonly string[] | "all" | null>(null);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const clear = () => setSelected(new Set());
  const bulk = useBulk(pid, () => {
    clear();
    reload();
  });

  const show = (changes: Partial<ListView>) => {
    // Another filter begins on its first page, without a selection of files that are no longer shown.
    if (!("page" in changes)) clear();
    setView((shown) => ({ ...shown, page: 0, ...changes }));
  };

  const upload = (chosen: readonly File[], as: "auto" | "sequence") => {
    const onChange = (changed: Upload, finished: boolean) =>
      setUploads((shown) => {
        if (finished) return shown.filter((other) => other.id !== changed.id);
        if (shown.some((other) => other.id === changed.id))
          return shown.map((other) => (other.id === changed.id ? changed : other));
        return [...shown, changed];
      });
    void uploadAll(pid, chosen, as, onChange, reloadSoon).then(reload);
  };

  // Many small files arrive in quick succession: the list is loaded once for several.
  const reloading = useRef<ReturnType<typeof setTimeout> | null>(null);
  const latestReload = useRef(reload);
  latestReload.current = reload;
  const reloadSoon = () => {
    reloading.current ??= setTimeout(() => {
      reloading.current = null;
      latestReload.current();
    }, 400);
  };

  const offer = (chosen: readonly File[]) => {
    if (!chosen.length) return;
    if (chosen.length > 1 && chosen.every(isImage)) setAsking(chosen);
    else upload(chosen, "auto");
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: once per project
  useEffect(() => offer(takeKept(pid)), [pid]);
  useEffect(() => rememberList(pid, formatView(view)), [pid, view]);
  useEffect(() => {
    if (project) document.title = `${project.name} · masklet studio`;
  }, [project]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !event.defaultPrevented) setSelected(new Set());
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);

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

  const choose = (event: React.ChangeEvent<HTMLInputElement>) => {
    offer([...(event.currentTarget.files ?? [])]);
    event.currentTarget.value = "";
  };
  const selectAll = () =>
    void api.listMediaIds(pid, filterOf(view)).then((ids) => setSelected(new Set(ids)), toastError);
  const select = (id: string, isRange: boolean) => {
    const shown = list?.media.map((medium) => medium.id) ?? [];
    setSelected((before) => toggleSelected(before, id, shown, isRange ? anchor : null));
    setAnchor(id);
  };
  const isEmpty = project !== null && project.num_media === 0 && !view.trash;

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
                <InlineText
                  className="page__title"
                  label="Project name"
                  value={project.name}
                  onChange={(name) => void api.renameProject(pid, name).then(setProject, toastError)}
                />
              )}
            </h1>
          </div>
          <div className="page__actions">
            {project !== null && project.num_media > 0 && (
              <Button icon={Download} onClick={() => setExporting("all")}>
                Export all
              </Button>
            )}
            <Button icon={FolderUp} onClick={() => folder.current?.click()}>
              Add folder
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

        {project === null || list === null ? (
          <div className="screen-centre">
            <Spinner />
          </div>
        ) : (
          <>
            {view.trash ? (
              <div className="trash-head">
                <Button icon={ArrowLeft} onClick={() => show({ ...EVERYTHING })}>
                  Back to the files
                </Button>
                <p>Trash: files are deleted for good after 30 days. Select files to restore or delete them.</p>
              </div>
            ) : (
              !isEmpty && <ProjectProgress project={project} state={view.state} onState={(state) => show({ state })} />
            )}
            {!isEmpty && <MediaFilters view={view} classes={classes} onChange={show} />}
            {isEmpty
              ? uploads.length === 0 && <NoMedia onChoose={() => files.current?.click()} />
              : list.media.length === 0 && <NothingListed view={view} onClear={() => show({ ...EVERYTHING })} />}
            <ul className={selected.size ? "cards cards--selecting" : "cards"}>
              {list.media.map((medium) => (
                <MediumCard
                  key={medium.id}
                  medium={medium}
                  isSelected={selected.has(medium.id)}
                  onSelect={(isRange) => select(medium.id, isRange)}
                  onRename={() => setRenaming(medium)}
                  onTrash={() => void bulk.trash([medium.id])}
                  onRestore={() => void bulk.restore([medium.id])}
                />
              ))}
            </ul>
            <Pages view={view} total={list.total} onPage={(page) => show({ page })} />
            {project.progress.num_in_trash > 0 && !view.trash && (
              <Button
                className="trash-link"
                variant="ghost"
                icon={Trash2}
                onClick={() => show({ ...EVERYTHING, trash: true })}
              >
                {`Trash (${project.progress.num_in_trash.toLocaleString("en")})`}
              </Button>
            )}
          </>
        )}
      </DropZone>
      {selected.size > 0 && list !== null && (
        <BulkBar
          pid={pid}
          ids={[...selected]}
          total={list.total}
          inTrash={view.trash}
          bulk={bulk}
          onSelectAll={selectAll}
          onClear={clear}
          onExport={() => setExporting([...selected])}
        />
      )}

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
            void api.renameMedium(renaming.id, name).then(reload, toastError);
          }}
        />
      )}
      {exporting && (
        <ProjectExport pid={pid} media={exporting === "all" ? null : exporting} onClose={() => setExporting(null)} />
      )}
    </>
  );
}

/** Says what a new project is for. */
function NoMedia({ onChoose }: { onChoose: () => void }) {
  const limits = useApp((state) => state.info?.limits);
  return (
    <Empty
      icon={Clapperboard}
      title="Drop photos, videos or a folder here"
      action={
        <Button variant="primary" large icon={UploadIcon} onClick={onChoose}>
          Choose files
        </Button>
      }
    >
      A folder of numbered images can become one video.
      {limits &&
        ` Up to ${Math.round(limits.max_seconds / 60)} minutes and ${Math.round(limits.max_bytes / 1e9)} GB each.`}
    </Empty>
  );
}

function NothingListed({ view, onClear }: { view: ListView; onClear: () => void }) {
  return (
    <Empty
      icon={view.trash ? Trash2 : SearchX}
      title={view.trash && !isFiltered(view) ? "The trash is empty" : "No file fits"}
      action={<Button onClick={onClear}>Show all files</Button>}
    >
      {isFiltered(view) ? "Nothing here has this name, state, kind and class." : ""}
    </Empty>
  );
}

function Pages({ view, total, onPage }: { view: ListView; total: number; onPage: (page: number) => void }) {
  const last = Math.max(0, Math.ceil(total / PAGE_SIZE) - 1);
  // Files may have gone from the last page.
  useEffect(() => {
    if (view.page > last) onPage(last);
  });
  if (total <= PAGE_SIZE) return null;
  const start = view.page * PAGE_SIZE;
  return (
    <nav className="pages" aria-label="Pages">
      <IconButton
        icon={ChevronLeft}
        label="Previous page"
        disabled={view.page === 0}
        onClick={() => onPage(view.page - 1)}
      />
      <span className="num">
        {`${(start + 1).toLocaleString("en")} – ${Math.min(total, start + PAGE_SIZE).toLocaleString("en")} of ${total.toLocaleString("en")}`}
      </span>
      <IconButton
        icon={ChevronRight}
        label="Next page"
        disabled={view.page >= last}
        onClick={() => onPage(view.page + 1)}
      />
    </nav>
  );
}
