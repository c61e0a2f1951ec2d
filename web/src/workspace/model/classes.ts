/** The project's class list, and the classes of objects. */

import * as api from "../../api/client";
import type { ClassFields, ObjectClass } from "../../api/types";
import { toast, toastError } from "../../state/app";
import { updateObjects } from "./objects";
import { getSession } from "./session";
import { getState, selectedObjects, setState } from "./store";
import { refreshSoon } from "./sync";

/** Give the selected objects a class; without a selected object, the next new one gets it. */
export function assignClass(name: string): void {
  const objects = selectedObjects(getState());
  setState({ nextClass: name });
  if (objects.length) {
    updateObjects(
      objects.map((object) => object.id),
      { class_name: name },
    );
  } else toast(name ? `The next object is a ${name}` : "The next object has no class");
}

/** Add a class to the list. */
export const addClass = (name: string): Promise<void> =>
  changeList(async (pid) => [...currentClasses(), await api.createClass(pid, name)]);

/** Rename or recolour a class, give it a hot key, or move it. */
export const changeClass = (id: string, fields: ClassFields): Promise<void> =>
  changeList((pid) => api.changeClass(pid, id, fields));

/** Give all objects of a class another one, and delete the first. */
export const mergeClass = (id: string, into: string): Promise<void> =>
  changeList((pid) => api.mergeClass(pid, id, into));

export const deleteClass = (id: string): Promise<void> =>
  changeList(async (pid) => {
    await api.deleteClass(pid, id);
    return currentClasses().filter((entry) => entry.id !== id);
  });

const currentClasses = (): readonly ObjectClass[] => getState().project?.classes ?? [];

/** Change the list in order behind other changes, and show it; objects may have other classes then. */
async function changeList(work: (pid: string) => Promise<readonly ObjectClass[]>): Promise<void> {
  const session = getSession();
  const { project } = getState();
  if (!session || !project) return;
  try {
    const before = currentClasses();
    const classes = await session.enqueue(() => work(project.id));
    if (getSession() !== session) return;
    setState(({ project: shown, nextClass }) => {
      const id = before.find((entry) => entry.name === nextClass)?.id;
      return {
        project: shown && { ...shown, classes },
        nextClass: id ? (classes.find((entry) => entry.id === id)?.name ?? "") : nextClass,
      };
    });
    refreshSoon();
  } catch (error) {
    toastError(error);
  }
}
