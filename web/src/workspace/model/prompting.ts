/** Clicks and boxes: shown at once with the page's own mask, then sent to the server, whose answer counts. */

import * as api from "../../api/client";
import type { Point, PromptBody, PromptsOnFrame } from "../../api/types";
import { toast } from "../../state/app";
import { ensureEditable, resolveTarget } from "./editTarget";
import { undo } from "./history";
import { dropHover } from "./hover";
import { dropPendingMasks, offerCandidates, showLocalAnswer, toLocalDecode } from "./localAnswers";
import { createObject } from "./objects";
import {
  arePromptsLoaded,
  isDrawnByHand,
  isTracked,
  promptIn,
  promptOf,
  rememberPrompt,
  requestFor,
  withPoint,
} from "./prompts";
import { getSession, type Session } from "./session";
import { getState, selectedObject, setState } from "./store";
import { change, isUndoPending } from "./sync";

/** @param label 1 adds to the mask, 0 removes from it. */
export function addPoint(point: Point, label: 0 | 1): void {
  extendPrompt((before) => withPoint(before, point, label));
}

/** Replace fields of the selected object's prompt, such as its box. */
export function changePrompt(changes: Partial<PromptBody>): void {
  extendPrompt((before) => ({ ...before, ...changes, candidate: null }));
}

export function removePoint(index: number): void {
  const { selected } = getState();
  const shown = promptOf(selected);
  const [x, y] = shown.points[index];
  if (shown.points.length === 1 && !shown.box) clearPrompt();
  else
    extendPrompt((before) => {
      const keep = before.points.map((point) => point[0] !== x || point[1] !== y);
      return {
        ...before,
        points: before.points.filter((_, i) => keep[i]),
        labels: before.labels.filter((_, i) => keep[i]),
        candidate: null,
      };
    });
}

/** Remove all prompts of the selected object on this frame. */
export function clearPrompt(): void {
  const session = getSession();
  const { selected, frame } = getState();
  const object = selectedObject(getState());
  if (!session || selected === null || !object || !ensureEditable(object)) return;
  setState({ candidates: null, hover: null });
  dropPendingMasks(frame);
  rememberPrompt(frame, selected, null);
  session.awaitMask(frame, selected);
  const version = session.newVersion(frame, selected);
  void change(async (_, key) => {
    const id = session.realId(selected);
    const answer = await api.deletePrompt(session.medium.id, frame, id, key);
    if (session.isLatest(frame, version)) {
      if (answer.frame) session.showAnswer(answer.frame);
      else {
        session.masks.remove(frame, id);
        session.resolveFrame(frame);
      }
    }
    toast("Cleared the clicks and edits on this frame", { label: "Undo", run: () => void undo() });
  });
}

export function chooseCandidate(index: number): void {
  const session = getSession();
  const { candidates } = getState();
  if (!session || !candidates || index === candidates.chosen || index >= candidates.list.length) return;
  if (!arePromptsLoaded()) return; // the points that the choice belongs to would be lost
  const { frame, objectId, list } = candidates;
  const save = startPrompt(session, frame, objectId, { ...promptOf(objectId), candidate: index });
  // The list keeps its order, so that going back and forth compares the same three.
  const keepList = () => {
    if (getState().frame === frame) setState({ candidates: { frame, objectId, list, chosen: index } });
  };
  keepList();
  void change(async (_, key) => {
    await save(key);
    const shown = getState().candidates;
    if (shown?.objectId === objectId && shown.chosen === index) keepList();
  });
}

export function cycleCandidate(): void {
  const { candidates } = getState();
  if (candidates) chooseCandidate((candidates.chosen + 1) % candidates.list.length);
}

/** Keep the candidate that is shown. */
export const dismissCandidates = (): void => setState({ candidates: null });

/** Sends a prompt to the server, with that idempotency key. */
type SavePrompt = (key: string) => Promise<void>;

/** Extend the prompt of the selected object on this frame, or prompt a new object. */
function extendPrompt(extend: (before: PromptBody) => PromptBody): void {
  const session = getSession();
  const { frame } = getState();
  const selected = selectedObject(getState());
  if (!session || (selected && !ensureEditable(selected))) return;
  setState({ playing: false, candidates: null, masksVisible: true });
  if (!isUndoPending() && (!selected || arePromptsLoaded())) {
    const target = selected ?? createObject();
    const save = startPrompt(session, frame, target.id, extend(promptOf(target.id)));
    dropHover();
    void change((_, key) => save(key));
    return;
  }
  // An undo is unanswered, or the frame was only just opened: ask the server for the prompt that this extends.
  dropHover();
  if (selected) session.awaitMask(frame, selected.id);
  const prepare = async (key: string) => {
    const target = await resolveTarget(session, selected, key);
    const prompts = await api.getPrompts(session.medium.id, frame);
    if (session.numWaiting <= 1 && getState().frame === frame) setState({ prompts: { frame, byObject: prompts } });
    return startPrompt(session, frame, target.id, extend(promptIn(prompts, target.id)), prompts);
  };
  let save: SavePrompt | null = null;
  void change(async (_, key) => {
    // Prepared once: a second try after a lost answer must not extend the prompt again.
    save ??= await prepare(key);
    await save(key);
  });
}

/**
 * Show a prompt and the page's own mask for it; returns the function that sends the prompt to the server.
 *
 * @param prompts the prompts it extends; those of the shown frame if not given.
 */
function startPrompt(
  session: Session,
  frame: number,
  objectId: number,
  prompt: PromptBody,
  prompts?: PromptsOnFrame,
): SavePrompt {
  const isDrawn = isDrawnByHand(objectId, prompts);
  const request = requestFor(frame, objectId, prompt, prompts);
  // Clicks on a mask drawn by hand change that mask, and are not kept as prompts.
  if (!isDrawn) {
    session.rememberDecodeRequest(frame, objectId, request);
    rememberPrompt(frame, objectId, prompt);
  }
  session.awaitMask(frame, objectId);
  const version = session.newVersion(frame, objectId);
  const isLatest = () => getSession() === session && session.isLatest(frame, version);
  const isKept = getState().localMode && !isDrawn && !isTracked(frame, objectId);
  let isAnswered = false;
  const isCurrent = () =>
    !isAnswered &&
    getSession() === session &&
    session.isLatestOf(frame, objectId, version) &&
    getState().frame === frame;
  const local = isDrawn ? null : showLocalAnswer({ frame, objectId, prompt }, request, isCurrent, isKept);
  return async (key) => {
    const id = session.realId(objectId);
    const localDecode = isKept ? toLocalDecode(await local, prompt) : null;
    const answer = await api.putPrompt(session.medium.id, frame, id, prompt, localDecode, key);
    isAnswered = true;
    if (!isLatest()) return;
    session.showAnswer(answer.frame);
    dropPendingMasks(frame);
    if (localDecode || getState().frame !== frame) return;
    offerCandidates(frame, id, answer.candidates, prompt);
  };
}
