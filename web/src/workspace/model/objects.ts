/** Objects of the medium: created, renamed, recoloured, locked, hidden, deleted. */

import * as api from "../../api/client";
import type { ObjectFields, SegmentObject } from "../../api/types";
import { toast, useApp } from "../../state/app";
import { undo } from "./history";
import { getSession, type Session } from "./session";
import { getState, setState } from "./store";
import { change } from "./sync";

/** Objects that the server has not created yet have ids below 0. */
let nextTemporaryId = -1;
const NEW_NAME = "New object";

/** Create an object: shown at once, created by the server in its turn. */
export function createObject(): SegmentObject {
  const object: SegmentObject = {
    id: nextTemporaryId--,
    name: NEW_NAME,
    class_name: "",
    color: nextColor() ?? "#4f8cff",
    locked: false,
    hidden: false,
    prompted_frames: [],
  };
  setState((state) => ({ objects: [...state.objects, object], selected: object.id, drafting: false }));
  void change(async (session, key) => {
    const created = await api.createObject(session.medium.id, { color: object.color }, key);
    session.replaceId(object.id, created.id);
    if (getSession() === session) replaceShownId(session, object.id, created);
  });
  return object;
}

/** Create an object within a change whose turn has come. */
export async function createObjectNow(session: Session, key: string): Promise<SegmentObject> {
  const created = await api.createObject(session.medium.id, { color: nextColor() }, key);
  if (getSession() === session)
    setState((state) => ({ objects: [...state.objects, created], selected: created.id, drafting: false }));
  return created;
}

/** Return the first of the least used colours. */
function nextColor(): string | undefined {
  const { objects } = getState();
  const colors = useApp.getState().info?.colors ?? [];
  const count = (color: string) => objects.filter((object) => object.color === color).length;
  return [...colors].sort((a, b) => count(a) - count(b))[0];
}

function replaceShownId(session: Session, temporary: number, created: SegmentObject): void {
  const { id } = created;
  session.masks.replaceId(temporary, id);
  setState((state) => {
    const byObject = { ...state.prompts.byObject };
    const prompt = byObject[String(temporary)];
    delete byObject[String(temporary)];
    if (prompt) byObject[String(id)] = prompt;
    const withRealId = <T extends { readonly objectId: number | null }>(item: T): T =>
      item.objectId === temporary ? { ...item, objectId: id } : item;
    return {
      objects: state.objects.map((object) =>
        object.id === temporary
          ? { ...object, id, name: object.name === NEW_NAME ? created.name : object.name }
          : object,
      ),
      selected: state.selected === temporary ? id : state.selected,
      renaming: state.renaming === temporary ? id : state.renaming,
      prompts: { ...state.prompts, byObject },
      pendingMasks: state.pendingMasks.map(withRealId),
      strokes: state.strokes.map(withRealId),
      candidates: state.candidates && withRealId(state.candidates),
    };
  });
}

export function updateObject(id: number, fields: ObjectFields): void {
  setState((state) => ({
    objects: state.objects.map((object) => (object.id === id ? { ...object, ...fields } : object)),
  }));
  void change((session) => api.updateObject(session.medium.id, session.realId(id), fields)).then(() => {
    if (fields.class_name === undefined) return;
    const { project } = getState();
    if (project)
      void api.getProject(project.id).then(
        (fresh) => setState({ project: fresh }),
        () => {},
      );
  });
}

export function deleteObject(id: number): void {
  const { objects, selected } = getState();
  const deleted = objects.find((object) => object.id === id);
  if (!deleted) return;
  const index = objects.indexOf(deleted);
  const rest = objects.filter((object) => object.id !== id);
  const next = selected === id ? (rest[Math.min(index, rest.length - 1)]?.id ?? null) : selected;
  const strokes = getState().strokes.filter((stroke) => stroke.objectId !== id);
  setState({ objects: rest, selected: next, candidates: null, strokes });
  void change((session, key) => api.deleteObject(session.medium.id, session.realId(id), key)).then(() => {
    getSession()?.masks.invalidate();
    getSession()?.masks.ensure(getState().frame);
    toast(`Deleted “${deleted.name}”`, { label: "Undo", run: () => void undo() });
  });
}

export function deleteSelectedObject(): void {
  const { selected } = getState();
  if (selected !== null) deleteObject(selected);
}
