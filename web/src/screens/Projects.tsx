import { FolderPlus, Images, MoreHorizontal, Pencil, Plus, Trash2 } from "lucide-react";
import { useEffect, useState } from "react";
import * as api from "../api/client";
import type { Project } from "../api/types";
import { ago, plural } from "../lib/text";
import { Header } from "../shell/Header";
import { onReconnected, toast, toastError } from "../state/app";
import { go } from "../state/route";
import { Button, Dialog, Empty, MenuButton, Spinner } from "../ui/kit";
import { DropZone, keepForProject, readDrop } from "./upload";

export function Projects() {
  const [projects, setProjects] = useState<readonly Project[] | null>(null);
  const [naming, setNaming] = useState<Project | "new" | null>(null);
  const [deleting, setDeleting] = useState<Project | null>(null);

  const load = () => void api.listProjects().then(setProjects, toastError);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, and after a lost connection
  useEffect(() => {
    document.title = "masklet studio";
    load();
    return onReconnected(load);
  }, []);

  const create = async (name: string, files: readonly File[] = []) => {
    try {
      const project = await api.createProject(name);
      keepForProject(project.id, files);
      go({ screen: "project", pid: project.id });
    } catch (error) {
      toastError(error);
    }
  };

  return (
    <>
      <Header />
      <DropZone
        className="page"
        hint="Drop to start a new project"
        onDrop={(transfer) =>
          void readDrop(transfer).then((files) => {
            if (files.length) void create(files[0].name.replace(/\.[^.]+$/, ""), files);
          })
        }
      >
        <div className="page__head">
          <h1 className="page__title">Projects</h1>
          <Button variant="primary" icon={Plus} onClick={() => setNaming("new")}>
            New project
          </Button>
        </div>
        {projects === null ? (
          <div className="screen-centre">
            <Spinner />
          </div>
        ) : projects.length === 0 ? (
          <Empty
            icon={FolderPlus}
            title="Drop a photo or a video anywhere"
            action={
              <Button variant="primary" large icon={Plus} onClick={() => setNaming("new")}>
                New project
              </Button>
            }
          >
            A click on an object finds its mask; one button tracks it through the whole video. Everything is saved as
            you work, on the machine that runs this studio.
          </Empty>
        ) : (
          <ul className="cards">
            {projects.map((project) => (
              <li key={project.id} className="card">
                <a
                  className="card__link"
                  href={`/p/${project.id}`}
                  onClick={(event) => {
                    if (event.metaKey || event.ctrlKey) return;
                    event.preventDefault();
                    go({ screen: "project", pid: project.id });
                  }}
                >
                  <span className="card__picture">
                    {project.thumbnail_url ? (
                      <img src={project.thumbnail_url} alt="" loading="lazy" />
                    ) : (
                      <Images size={24} strokeWidth={1.4} aria-hidden />
                    )}
                  </span>
                  <span className="card__name">{project.name}</span>
                  <span className="card__facts">
                    {plural(project.num_media, "file")}
                    {project.num_media > 0 && ` · ${project.progress.media.accepted.toLocaleString("en")} accepted`}
                    {` · ${ago(project.updated_at)}`}
                  </span>
                </a>
                <div className="card__menu">
                  <MenuButton
                    small
                    label={`More actions for ${project.name}`}
                    icon={MoreHorizontal}
                    items={[
                      { label: "Rename", icon: Pencil, run: () => setNaming(project) },
                      { label: "Delete", icon: Trash2, danger: true, run: () => setDeleting(project) },
                    ]}
                  />
                </div>
              </li>
            ))}
          </ul>
        )}
      </DropZone>
      {naming && (
        <NameDialog
          title={naming === "new" ? "New project" : "Rename project"}
          value={naming === "new" ? "" : naming.name}
          action={naming === "new" ? "Create" : "Rename"}
          onClose={() => setNaming(null)}
          onName={(name) => {
            setNaming(null);
            if (naming === "new") void create(name);
            else void api.renameProject(naming.id, name).then(load, toastError);
          }}
        />
      )}
      {deleting && (
        <ConfirmDelete
          what={`project “${deleting.name}”`}
          detail={`${plural(deleting.num_media, "file")}, all masks and the trash of this project are deleted for good. The originals on your disk are kept.`}
          onClose={() => setDeleting(null)}
          onConfirm={() => {
            setDeleting(null);
            void api.deleteProject(deleting.id).then(() => {
              toast(`Deleted “${deleting.name}”`);
              load();
            }, toastError);
          }}
        />
      )}
    </>
  );
}

export function NameDialog(props: {
  title: string;
  value: string;
  action: string;
  onClose: () => void;
  onName: (name: string) => void;
}) {
  const [name, setName] = useState(props.value);
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <form
        className="dialog__form"
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim()) props.onName(name.trim());
        }}
      >
        <label className="field">
          <span className="field__label">Name</span>
          <input
            className="input"
            value={name}
            maxLength={120}
            data-autofocus
            onFocus={(event) => event.currentTarget.select()}
            onChange={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <div className="dialog__foot dialog__foot--flush">
          <Button onClick={props.onClose}>Cancel</Button>
          <Button type="submit" variant="primary" disabled={!name.trim()}>
            {props.action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export function ConfirmDelete(props: { what: string; detail: string; onClose: () => void; onConfirm: () => void }) {
  return (
    <Dialog
      title={`Delete ${props.what}?`}
      onClose={props.onClose}
      foot={
        <>
          <Button onClick={props.onClose}>Cancel</Button>
          <Button variant="danger" icon={Trash2} onClick={props.onConfirm}>
            Delete
          </Button>
        </>
      }
    >
      <p className="dialog__body">{props.detail}</p>
    </Dialog>
  );
}
