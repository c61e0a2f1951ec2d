/** Objects of the medium: created, renamed, recoloured, locked, hidden, deleted. */

import * as api from "../../api/client";
import type { ObjectFields, SegmentObject } from "../../api/types";
import { plural } from "../../lib/text";
import { toast, useApp } from "../../state/app";
import { undo } from "./history";
import { getSession, type Session } from "./session";
import { getState, selectedObjects, setState, withoutAccepted } from "./store";
import { change } from "./sync";

/** Objects that the server has not created yet have ids below 0. */
let nextTemporaryId = -1;
const NEW_NAME = "New object";

/** Create an object: shown at once, created by the server in its turn. */
export function createObject(): SegmentObject {
  const object: SegmentObject = {
    id: nextTemporaryId--,
    name: NEW_NAME,
    class_name: getState().nextClass,
    color: nextColor() ?? "#4f8cff",
    locked: false,
    hidden: false,
    prompted_frames: [],
  };
  setState((state) => ({ objects: [...state.objects, object], selected: object.id, others: [], drafting: false }));
  void change(async (session, key) => {
    const created = await api.createObject(session.medium.id, fieldsOf(object), key);
    session.replaceId(object.id, created.id);
    if (getSession() === session) replaceShownId(session, object.id, created);
  });
  return object;
}

const fieldsOf = ({ color, class_name }: SegmentObject): ObjectFields => ({ color, class_name });

/** Create an object within a change whose turn has come. */
export async function createObjectNow(session: Session, key: string): Promise<SegmentObject> {
  const created = await api.createObject(
    session.medium.id,
    { color: nextColor(), class_name: getState().nextClass },
    key,
  );
  if (getSession() === session)
    setState((state) => ({
      objects: [...state.objects, created],
      selected: created.id,
      others: [],
      drafting: false,
      proposals: withoutAccepted(state.proposals, [created.id]),
    }));
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
      others: state.others.map((other) => (other === temporary ? id : other)),
      renaming: state.renaming === temporary ? id : state.renaming,
      prompts: { ...state.prompts, byObject },
      pendingMasks: state.pendingMasks.map(withRealId),
      strokes: state.strokes.map(withRealId),
      candidates: state.candidates && withRealId(state.candidates),
      proposals: withoutAccepted(state.proposals, [id]),
    };
  });
}

export const updateObject = (id: number, fields: ObjectFields): void => updateObjects([id], fields);

/** Change objects, in one step to undo. */
export function updateObjects(ids: readonly number[], fields: ObjectFields): void {
  setState((state) => ({
    objects: state.objects.map((object) => (ids.includes(object.id) ? { ...object, ...fields } : object)),
    nextClass: fields.class_name ?? state.nextClass,
  }));
  void change<unknown>((session, key) => {
    const realIds = ids.map((id) => session.realId(id));
    return realIds.length === 1
      ? api.updateObject(session.medium.id, realIds[0], fields)
      : api.updateObjects(session.medium.id, realIds, fields, key);
  }).then(() => {
    if (fields.class_name) refreshClasses(fields.class_name);
  });
}

/** Fetch the project's class list if it lacks a class that was typed. */
function refreshClasses(name: string): void {
  const { project } = getState();
  if (!project || project.classes.some((entry) => entry.name === name)) return;
  void api.getProject(project.id).then(
    (fresh) => {
      if (getState().project?.id === fresh.id) setState({ project: fresh });
    },
    () => {},
  );
}

export const deleteObject = (id: number): void => deleteObjects([id]);

/** Delete objects, in one step to undo. */
export function deleteObjects(ids: readonly number[]): void {
  const { objects, selected } = getState();
  const deleted = objects.filter((object) => ids.includes(object.id));
  if (!deleted.length) return;
  const index = objects.indexOf(deleted[0]);
  const rest = objects.filter((object) => !ids.includes(object.id));
  const isSelectedGone = selected !== null && ids.includes(selected);
  const next = isSelectedGone ? (rest[Math.min(index, rest.length - 1)]?.id ?? null) : selected;
  const strokes = getState().strokes.filter(({ objectId }) => objectId === null || !ids.includes(objectId));
  setState(({ others }) => ({
    objects: rest,
    selected: next,
    others: others.filter((id) => !ids.includes(id)),
    candidates: null,
    strokes,
  }));
  void change((session, key) =>
    api.deleteObjects(
      session.medium.id,
      ids.map((id) => session.realId(id)),
      key,
    ),
  ).then(() => {
    getSession()?.masks.invalidate();
    getSession()?.masks.ensure(getState().frame);
    toast(`Deleted ${deleted.length === 1 ? `“${deleted[0].name}”` : plural(deleted.length, "object")}`, {
      label: "Undo",
      run: () => void undo(),
    });
  });
}

export function deleteSelectedObjects(): void {
  deleteObjects(selectedObjects(getState()).map((object) => object.id));
}
