import { beforeEach, expect, test, vi } from "vitest";
import { MaskCache, type ShownFrame, type ShownMask } from "./masks";

const rle = { size: [2, 2], counts: "04" } as const;
const made = { rle, area: 4, confidence: 1, status: "present" } as const;

const mask = (object_id: number): ShownMask => ({
  ...made,
  object_id,
  box: null,
  prompted: false,
  accepted: false,
  review: false,
});
const masksOn = (frame_index: number, ...ids: number[]): ShownFrame => ({
  frame_index,
  time_s: 0,
  accepted: false,
  objects: ids.map(mask),
});
const idsOn = (cache: MaskCache, frame: number) => cache.get(frame)?.objects.map((mask) => mask.object_id);

let answer: (frames: ShownFrame[]) => Promise<void>;
const getMasks = vi.hoisted(() => vi.fn());
vi.mock("../api/client", () => ({ getMasks, isAbort: () => false }));

beforeEach(() => {
  getMasks.mockImplementation(
    () =>
      new Promise((resolve) => {
        answer = async (frames) => {
          resolve({ frames, revision: 1 });
          await new Promise((done) => setTimeout(done));
        };
      }),
  );
});

const newCache = () =>
  new MaskCache(
    "m",
    100,
    () => {},
    () => expect.unreachable(),
  );

test("a frame is known when its chunk has arrived, or the server has answered a change of it", async () => {
  const cache = newCache();
  cache.ensure(5);
  expect(cache.isKnown(5)).toBe(false);
  cache.set(masksOn(7, 1));
  expect([5, 7].map((frame) => cache.isKnown(frame))).toEqual([false, true]);
  await answer([masksOn(5, 1), masksOn(7, 1, 2)]);
  expect([5, 6, 29, 30].map((frame) => cache.isKnown(frame))).toEqual([true, true, true, false]);
  expect(idsOn(cache, 7)).toEqual([1]); // masks set in the meantime are newer
  cache.invalidate();
  expect([5, 7].map((frame) => cache.isKnown(frame))).toEqual([false, false]);
  expect(idsOn(cache, 5)).toEqual([1]); // shown until the new comes
});

test("a mask that is put on a frame which is on its way hides no other", async () => {
  const cache = newCache();
  cache.ensure(0);
  cache.put(0, -1, made);
  expect(cache.isKnown(0)).toBe(false);
  cache.replaceId(-1, 3);
  await answer([masksOn(0, 1, 2)]);
  expect(idsOn(cache, 0)).toEqual([1, 2, 3]);
});
