/** Objects: made, chosen, named, deleted. */

import * as api from "../api/client";
import type { ObjectFields, SegmentObject } from "../api/types";
import { toast, useApp } from "../state/app";
import { undo } from "./history";
import { getSession, type Session } from "./session";
import { getState, setState } from "./store";
import { change } from "./sync";

/** What the server has not named yet: ids below 0, exchanged for its own when they come. */
let nextTemporary = -1;

/** An object is there at once, and the server hears of it in its turn. */
export function makeObject(): SegmentObject {
  const made: SegmentObject = {
    id: nextTemporary--,
    name: "New object",
    class_name: "",
    color: nextColor() ?? "#4f8cff",
    locked: false,
    hidden: false,
    prompted_frames: [],
  };
  setState((state) => ({ objects: [...state.objects, made], selected: made.id, drafting: false }));
  void change(async (session, key) => {
    const created = await api.createObject(session.medium.id, { color: made.color }, key);
    session.exchange(made.id, created.id);
    if (getSession() === session) exchangeId(session, made.id, created);
  });
  return made;
}

/** The same when its turn has come already. */
export async function makeObjectNow(session: Session, key: string): Promise<SegmentObject> {
  const created = await api.createObject(session.medium.id, { color: nextColor() }, key);
  if (getSession() === session)
    setState((state) => ({ objects: [...state.objects, created], selected: created.id, drafting: false }));
  return created;
}

/** The first colour that the fewest objects have. */
function nextColor(): string | undefined {
  const { objects } = getState();
  const colors = useApp.getState().info?.colors ?? [];
  const count = (color: string) => objects.filter((one) => one.color === color).length;
  return [...colors].sort((a, b) => count(a) - count(b))[0];
}

function exchangeId(session: Session, temporary: number, created: SegmentObject): void {
  const { id } = created;
  session.masks.exchange(temporary, id);
  setState((state) => {
    const byObject = { ...state.prompts.byObject };
    const said = byObject[String(temporary)];
    delete byObject[String(temporary)];
    if (said) byObject[String(id)] = said;
    const own = <T extends { readonly objectId: number | null }>(one: T): T =>
      one.objectId === temporary ? { ...one, objectId: id } : one;
    return {
      objects: state.objects.map((one) =>
        one.id === temporary ? { ...one, id, name: one.name === "New object" ? created.name : one.name } : one,
      ),
      selected: state.selected === temporary ? id : state.selected,
      renaming: state.renaming === temporary ? id : state.renaming,
      prompts: { ...state.prompts, byObject },
      pending: state.pending.map(own),
      strokes: state.strokes.map(own),
      candidates: state.candidates && own(state.candidates),
    };
  });
}

export function updateObject(id: number, fields: ObjectFields): void {
  setState((state) => ({
    objects: state.objects.map((one) => (one.id === id ? { ...one, ...fields } : one)),
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
  const gone = objects.find((one) => one.id === id);
  if (!gone) return;
  const at = objects.indexOf(gone);
  const rest = objects.filter((one) => one.id !== id);
  const next = selected === id ? (rest[Math.min(at, rest.length - 1)]?.id ?? null) : selected;
  const strokes = getState().strokes.filter((one) => one.objectId !== id);
  setState({ objects: rest, selected: next, candidates: null, strokes });
  void change((session, key) => api.deleteObject(session.medium.id, session.realId(id), key)).then(() => {
    getSession()?.masks.invalidate();
    getSession()?.masks.ensure(getState().frame);
    toast(`Deleted “${gone.name}”`, { label: "Undo", run: () => void undo() });
  });
}
