/** Clicks, boxes and hand-drawn masks. */

import * as api from "../api/client";
import type { Box, Candidate, GivenAnswer, Point, PromptBody, PromptsOnFrame, Rle, SegmentObject } from "../api/types";
import type { LocalAnswer } from "../decoder/client";
import type { DecodeRequest, LocalMask } from "../decoder/protocol";
import type { Edit } from "../lib/paint";
import { type Bitmap, decodeRle, emptyBitmap, encodeRle } from "../lib/rle";
import { toast } from "../state/app";
import { answerAtHand, dropHover, localDecode } from "./embedding";
import { acceptFrames, undo } from "./history";
import { makeObject, makeObjectNow, updateObject } from "./objects";
import { bodyOf, hasMask, isSaidKnown, isTracked, NO_PROMPT, promptOf, requestFor, withPoint } from "./said";
import { getSession, type Session } from "./session";
import { getState, selectedObject, setState } from "./store";
import { hideStroke, showStroke } from "./strokes";
import { change, isTravelling } from "./sync";

/** Whether an object may be changed on this frame; says so if not, and shows it if it is hidden. */
export function isOpen(object: SegmentObject): boolean {
  const { frame } = getState();
  if (object.locked) {
    toast(`“${object.name}” is locked.`, { label: "Unlock", run: () => updateObject(object.id, { locked: false }) });
    return false;
  }
  const mask = getSession()
    ?.masks.get(frame)
    ?.objects.find((one) => one.object_id === object.id);
  if (mask?.accepted && mask.area > 0) {
    toast(`“${object.name}” is accepted on frame ${frame}.`, {
      label: "Take back",
      run: () => acceptFrames(frame, frame + 1, false, [object.id]),
    });
    return false;
  }
  if (object.hidden) updateObject(object.id, { hidden: false });
  return true;
}

/** Add to what has been said of the selected object here: shown at once as the page sees it, then asked of the server. */
function say(extend: (before: PromptBody) => PromptBody): void {
  const session = getSession();
  const { frame } = getState();
  const known = selectedObject(getState());
  if (!session || (known && !isOpen(known))) return;
  setState({ playing: false, candidates: null, masksVisible: true });
  if (!isTravelling() && (!known || isSaidKnown())) {
    const target = known ?? makeObject();
    const answer = put(session, frame, target.id, extend(promptOf(target.id)));
    dropHover();
    void change((_, key) => answer(key));
    return;
  }
  // An undo is on its way, or the frame has just been come to: what this adds to is for the server to say.
  dropHover();
  if (known) session.awaitMask(frame, known.id);
  const prepare = async (key: string) => {
    const target = await targetAfterUndo(session, known, key);
    const said = await api.getPrompts(session.medium.id, frame);
    if (session.waiting <= 1 && getState().frame === frame) setState({ prompts: { frame, byObject: said } });
    return put(session, frame, target.id, extend(bodyOf(said, target.id)), said);
  };
  let save: Save | null = null;
  void change(async (_, key) => {
    // Once only: a second try after a lost answer must not add the same again.
    save ??= await prepare(key);
    await save(key);
  });
}

/** The server may have named the object that was selected meanwhile, or an undo may have taken it away. */
async function targetAfterUndo(
  session: Session,
  known: SegmentObject | undefined,
  key: string,
): Promise<SegmentObject> {
  const objects = await api.listObjects(session.medium.id);
  const find = (id: number | null | undefined) => objects.find((one) => one.id === id);
  const selected = getSession() === session ? getState().selected : null;
  return find(known && session.realIdSoFar(known.id)) ?? find(selected) ?? (await makeObjectNow(session, key));
}

/** Has the server keep what has been said, as a wish of that key. */
type Save = (key: string) => Promise<void>;

/** Show a prompt and what the page's own decoder makes of it, after what was said (as shown, if not given). Returns what has the server keep it. */
function put(session: Session, frame: number, objectId: number, prompt: PromptBody, said?: PromptsOnFrame): Save {
  const isDrawn = hasMask(objectId, said);
  const request = requestFor(frame, objectId, prompt, said);
  // Clicks on a drawn mask change that mask, and are not kept.
  if (!isDrawn) {
    session.said.set(`${frame}/${objectId}`, request);
    rememberPrompt(frame, objectId, prompt);
  }
  session.awaitMask(frame, objectId);
  const turn = session.newTurn(frame);
  const isLast = () => getSession() === session && session.isLastTurn(frame, turn);
  const isWhole = getState().localMode && !isDrawn && !isTracked(frame, objectId);
  let isAnswered = false;
  const isHere = () => !isAnswered && isLast() && getState().frame === frame;
  const whole = isDrawn ? null : paint(frame, objectId, prompt, request, isHere, isWhole);
  return async (key) => {
    const id = session.realId(objectId);
    const given = isWhole ? givenOf(await whole, prompt) : null;
    const answer = await api.putPrompt(session.medium.id, frame, id, prompt, given, key);
    isAnswered = true;
    if (!isLast()) return;
    session.showAnswer(answer.frame);
    dropPending(frame);
    if (given || getState().frame !== frame) return;
    offer(frame, id, answer.candidates, prompt);
  };
}

/** Show what the page makes of a prompt, and then, if it is to be kept, at the size of the picture. */
async function paint(
  frame: number,
  objectId: number,
  prompt: PromptBody,
  request: DecodeRequest,
  isHere: () => boolean,
  isWhole: boolean,
): Promise<LocalAnswer | null> {
  const known = answerAtHand(frame, request);
  // At once, so that it is on the screen with the very next picture.
  if (known) show(frame, objectId, known, prompt);
  const answer = known ?? (await localDecode(frame, request));
  if (answer && !known && isHere()) show(frame, objectId, answer, prompt);
  if (!answer || !isWhole) return answer;
  await painted();
  const whole = await localDecode(frame, request, true);
  if (whole && isHere()) showWhole(frame, objectId, whole, prompt);
  return whole;
}

/** When what has been changed is on the screen; a page that nobody sees is not painted. */
const painted = (): Promise<void> =>
  new Promise((resolve) => {
    if (document.visibilityState === "hidden") resolve();
    else requestAnimationFrame(() => requestAnimationFrame(() => resolve()));
  });

const meant = (answer: LocalAnswer, prompt: PromptBody): LocalMask | undefined =>
  answer.masks[prompt.candidate ?? 0] ?? answer.masks[0];

/** Until the server has answered. */
function show(frame: number, temporary: number, answer: LocalAnswer, prompt: PromptBody): void {
  const mask = meant(answer, prompt);
  if (!mask) return;
  const objectId = getSession()?.realIdSoFar(temporary) ?? temporary;
  setState((state) => ({
    pending: [
      ...state.pending.filter((one) => one.objectId !== objectId || one.frame !== frame),
      { frame, objectId, loops: mask.loops, side: answer.side },
    ],
  }));
}

/** For good: the server will keep this very mask. */
function showWhole(frame: number, temporary: number, answer: LocalAnswer, prompt: PromptBody): void {
  const session = getSession();
  const mask = meant(answer, prompt);
  if (!session || !mask?.whole) return;
  const objectId = session.realIdSoFar(temporary);
  session.masks.put(frame, objectId, {
    rle: mask.whole.rle,
    area: mask.whole.area,
    iou_prediction: mask.iou,
    object_score: answer.objectScore,
    status: answer.objectScore > 0 ? "present" : "occluded",
  });
  session.settle(frame, objectId);
  dropPending(frame);
  const list = answer.masks.flatMap(({ whole, iou }) => (whole ? [{ rle: whole.rle, iou_prediction: iou }] : []));
  offer(frame, objectId, list, prompt);
}

/** Answers to choose from: a click on something may mean a part or the whole; one that takes away does not ask. */
function offer(frame: number, objectId: number, list: readonly Candidate[], prompt: PromptBody): void {
  const isAmbiguous = list.length > 1 && prompt.labels[0] === 1;
  setState({ candidates: isAmbiguous ? { frame, objectId, list, chosen: prompt.candidate ?? 0 } : null });
}

function givenOf(answer: LocalAnswer | null | undefined, prompt: PromptBody): GivenAnswer | null {
  const mask = answer ? meant(answer, prompt) : null;
  if (!answer || !mask?.whole) return null;
  const { rle, logits } = mask.whole;
  const iou_prediction = Math.min(1, Math.max(0, mask.iou));
  return { rle, logits, iou_prediction, object_score: answer.objectScore };
}

const dropPending = (frame: number): void =>
  setState((state) => ({ pending: state.pending.filter((one) => one.frame !== frame) }));

type Said = PromptBody & { readonly has_mask?: boolean };

function rememberPrompt(frame: number, objectId: number, prompt: Said | null): void {
  setState((state) => {
    const objects = state.objects.map((one) => {
      if (one.id !== objectId) return one;
      const others = one.prompted_frames.filter((prompted) => prompted !== frame);
      return { ...one, prompted_frames: prompt ? [...others, frame] : others };
    });
    if (state.prompts.frame !== frame) return { objects };
    const byObject = { ...state.prompts.byObject };
    if (prompt) byObject[String(objectId)] = { has_mask: false, ...prompt };
    else delete byObject[String(objectId)];
    return { objects, prompts: { frame, byObject } };
  });
}

export function addPoint(point: Point, label: 0 | 1): void {
  say((before) => withPoint(before, point, label));
}

export function setBox(box: Box): void {
  say((before) => ({ ...before, box, candidate: null }));
}

export function removePoint(index: number): void {
  const { selected } = getState();
  const shown = promptOf(selected);
  const [x, y] = shown.points[index];
  if (shown.points.length === 1 && !shown.box) clearPrompt();
  else
    say((before) => {
      const keep = before.points.map((point) => point[0] !== x || point[1] !== y);
      return {
        ...before,
        points: before.points.filter((_, i) => keep[i]),
        labels: before.labels.filter((_, i) => keep[i]),
        candidate: null,
      };
    });
}

/** Take back all that was said of the selected object on this frame. */
export function clearPrompt(): void {
  const session = getSession();
  const { selected, frame } = getState();
  const object = selectedObject(getState());
  if (!session || selected === null || !object || !isOpen(object)) return;
  setState({ candidates: null, hover: null });
  dropPending(frame);
  rememberPrompt(frame, selected, null);
  session.awaitMask(frame, selected);
  const turn = session.newTurn(frame);
  void change(async (_, key) => {
    const id = session.realId(selected);
    const answer = await api.deletePrompt(session.medium.id, frame, id, key);
    if (session.isLastTurn(frame, turn)) {
      if (answer.frame) session.showAnswer(answer.frame);
      else {
        session.masks.remove(frame, id);
        session.settleFrame(frame);
      }
    }
    toast("Cleared what was said here", { label: "Undo", run: () => void undo() });
  });
}

export function chooseCandidate(index: number): void {
  const session = getSession();
  const { candidates } = getState();
  if (!session || !candidates || index === candidates.chosen || index >= candidates.list.length) return;
  if (!isSaidKnown()) return; // what the choice belongs to would be lost
  const { frame, objectId, list } = candidates;
  const save = put(session, frame, objectId, { ...promptOf(objectId), candidate: index });
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

/**
 * The selected object's mask on this frame, as all that has been done leaves it; null where it has none.
 *
 * Undefined while that is for the server to say: the frame's masks have not come in, or it is working one out.
 */
export function maskToEdit(): Rle | null | undefined {
  const session = getSession();
  const { frame } = getState();
  const object = selectedObject(getState());
  if (!session || isTravelling()) return undefined;
  if (!object) return null;
  if (session.isAwaited(frame, object.id)) return undefined;
  // Of an object that the server has not named, it has no masks.
  if (object.id >= 0 && !session.masks.isKnown(frame)) return undefined;
  const mask = session.masks.get(frame)?.objects.find((one) => one.object_id === object.id);
  return mask?.rle ?? null;
}

/**
 * Change the selected object's mask here by hand: at once where the page knows it, else in turn, where the server has it.
 *
 * @param made what the edit has made of `maskToEdit`, where the page has that already.
 */
export function drawMask(edit: Edit, made: Bitmap | null = null): void {
  const session = getSession();
  const { frame } = getState();
  const known = selectedObject(getState());
  if (!session || (known && !isOpen(known))) return;
  setState({ candidates: null, playing: false });
  const before = maskToEdit();
  let drawn: Drawn | null = null;
  if (before !== undefined) {
    const target = known ?? makeObject();
    const rle = made ? encodeRle(made) : edited(session, before, edit);
    drawn = { target, rle };
    putDrawn(session, frame, drawn);
    rememberPrompt(frame, target.id, { ...NO_PROMPT, has_mask: true });
  } else if (known) session.awaitMask(frame, known.id);
  showStroke(drawn?.target.id ?? known?.id ?? null, edit);
  const turn = session.newTurn(frame);
  const under = getState().pending.find((one) => one.frame === frame && one.objectId === known?.id)?.loops;
  const work = async (_: Session, key: string) => {
    // Once only: a second try after a lost answer must not edit what the first has made.
    if (!drawn) {
      drawn = await drawOnSaved(session, frame, known, edit, key);
      putDrawn(session, frame, drawn);
      // The click that it was drawn on is part of it now.
      setState((state) => ({ pending: state.pending.filter((one) => one.loops !== under) }));
    }
    const answer = await api.putMask(session.medium.id, frame, session.realId(drawn.target.id), drawn.rle, key);
    if (session.isLastTurn(frame, turn)) session.showAnswer(answer.frame);
  };
  void change(work).then(() => hideStroke(edit));
}

interface Drawn {
  readonly target: SegmentObject;
  readonly rle: Rle;
}

const putDrawn = (session: Session, frame: number, { target, rle }: Drawn): void =>
  session.masks.put(frame, target.id, { rle, area: 1, iou_prediction: 1, object_score: 1, status: "present" });

async function drawOnSaved(
  session: Session,
  frame: number,
  known: SegmentObject | undefined,
  edit: Edit,
  key: string,
): Promise<Drawn> {
  const target = await targetAfterUndo(session, known, key);
  const { frames } = await api.getMasks(session.medium.id, frame, frame + 1, false);
  const before = frames[0]?.objects.find((one) => one.object_id === target.id);
  return { target, rle: edited(session, before?.rle ?? null, edit) };
}

function edited({ medium }: Session, before: Rle | null, edit: Edit): Rle {
  const bitmap = before ? decodeRle(before) : emptyBitmap(medium.width, medium.height);
  edit(bitmap);
  return encodeRle(bitmap);
}
