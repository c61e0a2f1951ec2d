import { useEffect, useState } from "react";
import * as api from "../api/client";
import type { Project } from "../api/types";
import { toastError } from "../state/app";
import { Button, Dialog, Spinner } from "../ui/kit";

/** Asks for the project that files are moved to. */
export function MoveDialog(props: {
  pid: string;
  files: string;
  onClose: () => void;
  onChoose: (target: string) => void;
}) {
  const [projects, setProjects] = useState<readonly Project[] | null>(null);
  const [chosen, setChosen] = useState("");
  useEffect(() => {
    api.listProjects().then((all) => {
      const others = all.filter((project) => project.id !== props.pid);
      setProjects(others);
      setChosen(others[0]?.id ?? "");
    }, toastError);
  }, [props.pid]);
  return (
    <Dialog
      title={`Move ${props.files}`}
      onClose={props.onClose}
      foot={
        <>
          <Button onClick={props.onClose}>Cancel</Button>
          <Button variant="primary" disabled={!chosen} onClick={() => props.onChoose(chosen)}>
            Move
          </Button>
        </>
      }
    >
      <div className="dialog__body">
        {projects === null ? (
          <Spinner />
        ) : projects.length ? (
          <label className="field">
            <span className="field__label">To the project</span>
            <select className="input" value={chosen} onChange={(event) => setChosen(event.currentTarget.value)}>
              {projects.map((project) => (
                <option key={project.id} value={project.id}>
                  {project.name}
                </option>
              ))}
            </select>
          </label>
        ) : (
          <p>There is no other project. Create one first, on the page of all projects.</p>
        )}
      </div>
    </Dialog>
  );
}
