import { expect, test } from "vitest";
import type { BulkAnswer } from "../api/types";
import { bulkMessage, inParts } from "./bulk";

const done = (ids: readonly string[]): BulkAnswer => ({ done: ids.map((id) => ({ id, revision: 1 })), skipped: [] });
const skipped = (name: string) => ({ id: name, name, message: "it has no mask" });

test("parts are sent one after the other, with progress", async () => {
  const sent: string[][] = [];
  const progress: number[] = [];
  const send = async (part: readonly string[]) => {
    sent.push([...part]);
    return done(part);
  };
  const { answer, error } = await inParts(["a", "b", "c", "d", "e"], 2, send, (count) => progress.push(count));
  expect(sent).toEqual([["a", "b"], ["c", "d"], ["e"]]);
  expect(progress).toEqual([0, 2, 4, 5]);
  expect(answer.done.map(({ id }) => id)).toEqual(["a", "b", "c", "d", "e"]);
  expect(error).toBe(null);
});

test("what was done before an error is reported with it", async () => {
  const failure = new Error("the server is gone");
  const send = async (part: readonly string[]) => {
    if (part.includes("c")) throw failure;
    return done(part);
  };
  const { answer, error } = await inParts(["a", "b", "c"], 2, send);
  expect(answer.done.length).toBe(2);
  expect(error).toBe(failure);
});

test("the message names the first file that was skipped", () => {
  expect(bulkMessage("Accepted", done(["a"]))).toBe("Accepted 1 file");
  expect(bulkMessage("Accepted", { ...done(["a", "b"]), skipped: [skipped("c.jpg")] })).toBe(
    "Accepted 2 files; 1 skipped: c.jpg: it has no mask",
  );
  expect(bulkMessage("Accepted", { done: [], skipped: [skipped("c"), skipped("d")] })).toBe(
    "Accepted nothing; 2 skipped: c: it has no mask …",
  );
});
