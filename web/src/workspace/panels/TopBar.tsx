import {
  ChevronLeft,
  ChevronRight,
  CircleHelp,
  Cloud,
  CloudOff,
  Download,
  FileInput,
  Redo2,
  Undo2,
} from "lucide-react";
import { HomeLink, ThemeButton } from "../../shell/Header";
import { useApp } from "../../state/app";
import { go } from "../../state/route";
import { Button, IconButton, InlineText, Spinner } from "../../ui/kit";
import * as actions from "../model/actions";
import { useWorkspace } from "../model/store";

export function TopBar() {
  const medium = useWorkspace((state) => state.medium);
  const project = useWorkspace((state) => state.project);
  const neighbours = useWorkspace((state) => state.neighbours);
  const history = useWorkspace((state) => state.history);
  if (!medium || !project) return null;
  return (
    <header className="topbar">
      <div className="topbar__part">
        <HomeLink />
        <nav className="breadcrumb" aria-label="Breadcrumb">
          <a
            href={`/p/${project.id}`}
            onClick={(event) => {
              event.preventDefault();
              go({ screen: "project", pid: project.id });
            }}
          >
            {project.name}
          </a>
          <span aria-hidden>/</span>
          <InlineText
            className="breadcrumb__name"
            label="File name"
            value={medium.name}
            onChange={(name) => void actions.renameMedium(name)}
          />
        </nav>
        {neighbours && neighbours.total > 1 && (
          <div className="topbar__siblings">
            <IconButton
              small
              icon={ChevronLeft}
              label="Previous file"
              keys="Ctrl ←"
              disabled={neighbours.previous === null}
              onClick={() => actions.openSibling(-1)}
            />
            <span className="topbar__count num">
              {neighbours.index + 1} / {neighbours.total}
            </span>
            <IconButton
              small
              icon={ChevronRight}
              label="Next file"
              keys="Ctrl →"
              disabled={neighbours.next === null}
              onClick={() => actions.openSibling(1)}
            />
          </div>
        )}
      </div>
      <div className="topbar__part">
        <SaveState />
        <IconButton
          icon={Undo2}
          label={history.undo ? `Undo: ${history.undo}` : "Undo"}
          keys="Ctrl Z"
          disabled={!history.can_undo}
          onClick={() => void actions.undo()}
        />
        <IconButton
          icon={Redo2}
          label={history.redo ? `Redo: ${history.redo}` : "Redo"}
          keys="Ctrl ⇧ Z"
          disabled={!history.can_redo}
          onClick={() => void actions.redo()}
        />
        <span className="divider" />
        <IconButton icon={CircleHelp} label="Help and shortcuts" keys="?" onClick={() => actions.openDialog("help")} />
        <ThemeButton />
        <Button icon={FileInput} tip="Add masks that were made elsewhere" onClick={() => actions.openDialog("import")}>
          Import
        </Button>
        <Button
          variant="primary"
          icon={Download}
          keys="Ctrl E"
          tip="Save a picture or video with effects, or masks and data"
          onClick={() => actions.openDialog("export")}
        >
          Export
        </Button>
      </div>
    </header>
  );
}

function SaveState() {
  const saving = useWorkspace((state) => state.saving);
  const online = useApp((state) => state.online);
  if (!online) {
    return (
      <span className="save-state" role="status">
        <CloudOff size={14} aria-hidden /> {saving > 0 ? `Offline, ${saving} to save` : "Offline"}
      </span>
    );
  }
  return (
    <span className="save-state" role="status">
      {saving > 0 ? <Spinner label="Saving" /> : <Cloud size={14} aria-hidden />}
      {saving > 0 ? "Saving" : "Saved"}
    </span>
  );
}
