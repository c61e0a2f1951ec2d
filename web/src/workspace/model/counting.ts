/** Counting: lines and regions on the picture, and what the server counts over and in them. */

import * as api from "../../api/client";
import type { Point } from "../../api/types";
import { remember } from "../../lib/remembered";
import { messageOf } from "../../lib/text";
import { crossesItself, freeName, type Zone, zonesBody } from "../../lib/zones";
import type { Counting } from "./countingState";
import { dropHover } from "./hover";
import { seek } from "./navigation";
import { select } from "./selection";
import { getState, setState } from "./store";

const change = (fields: Partial<Counting>): void =>
  setState(({ counting }) => ({ counting: { ...counting, ...fields } }));

const keyOf = (mid: string): string => `masklet.zones.${mid}`;

/** Return the zones that were drawn on a medium before, in this browser. */
function storedZones(mid: string): readonly Zone[] {
  try {
    const zones: unknown = JSON.parse(localStorage.getItem(keyOf(mid)) ?? "[]");
    return Array.isArray(zones) ? zones : [];
  } catch {
    return [];
  }
}

function setZones(zones: readonly Zone[]): void {
  const { medium } = getState();
  if (!medium) return;
  remember(keyOf(medium.id), zones);
  change({ zones, drawing: null });
  void recount();
}

export function toggleCounting(): void {
  const { medium, counting } = getState();
  if (!medium) return;
  if (counting.isOpen) change({ isOpen: false, drawing: null });
  else {
    change({ isOpen: true, zones: storedZones(medium.id) });
    void recount();
  }
}

/** Grows with every request: an answer to an earlier one is dropped. */
let turn = 0;

/** Ask the server again, after the masks or the zones have changed. */
export async function recount(): Promise<void> {
  const { medium, objects, counting } = getState();
  const mine = ++turn;
  if (!medium || !counting.isOpen) return;
  if (!objects.some((object) => !object.hidden)) {
    change({ answer: null, isRunning: false, error: null });
    return;
  }
  change({ isRunning: true });
  try {
    const answer = await api.count(medium.id, { ...zonesBody(counting.zones), anchor: counting.anchor });
    if (mine === turn && getState().medium?.id === medium.id) change({ answer, isRunning: false, error: null });
  } catch (error) {
    if (mine === turn) change({ answer: null, isRunning: false, error: messageOf(error) });
  }
}

export function setAnchor(anchor: Counting["anchor"]): void {
  change({ anchor });
  void recount();
}

export function drawZone(kind: Zone["kind"]): void {
  const { drawing } = getState().counting;
  dropHover();
  change({ drawing: drawing?.kind === kind ? null : { kind, points: [] }, error: null });
}

export const cancelZone = (): void => change({ drawing: null });

/** Add a corner; the second one completes a line. */
export function addZonePoint(point: Point): void {
  const { drawing } = getState().counting;
  const last = drawing?.points.at(-1);
  if (!drawing || (last && Math.hypot(point[0] - last[0], point[1] - last[1]) < 1)) return; // a double click
  const points = [...drawing.points, point];
  change({ drawing: { ...drawing, points } });
  if (drawing.kind === "line" && points.length === 2) completeZone();
}

/** Complete the zone that is being drawn, if it has enough corners. */
export function completeZone(): void {
  const { drawing, zones } = getState().counting;
  if (!drawing || drawing.points.length < (drawing.kind === "line" ? 2 : 3)) return;
  if (drawing.kind === "region" && crossesItself(drawing.points)) {
    change({ drawing: null, error: "The outline of the region crosses itself. Click its corners in order." });
    return;
  }
  setZones([...zones, { ...drawing, name: freeName(drawing.kind, zones) }]);
}

export function removeZone(name: string): void {
  setZones(getState().counting.zones.filter((zone) => zone.name !== name));
}

/** Turn a line round: in becomes out. */
export function turnLine(name: string): void {
  const { zones } = getState().counting;
  setZones(zones.map((zone) => (zone.name === name ? { ...zone, points: [...zone.points].reverse() } : zone)));
}

export function renameZone(name: string, newName: string): void {
  const { zones } = getState().counting;
  const trimmed = newName.trim().slice(0, 60);
  if (!trimmed || zones.some((zone) => zone.name === trimmed)) return;
  setZones(zones.map((zone) => (zone.name === name ? { ...zone, name: trimmed } : zone)));
}

/** Show a frame that supports a count, with its object selected. */
export function showCounted(frame: number, objectId: number | null): void {
  seek(frame);
  if (objectId !== null && getState().objects.some((object) => object.id === objectId)) select(objectId);
}
