/** The table of shortcuts against the rest: tooltips name keys of the table, and classes get the keys that are free. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const WORKSPACE = join(import.meta.dirname, "..");
const table = readFileSync(join(import.meta.dirname, "shortcuts.ts"), "utf-8");
const chords = [...table.matchAll(/keys: "((?:\\.|[^"\\])+)"/g)].flatMap(([, keys]) => keys.split(", "));

test("no two shortcuts have the same keys, but Space, which is pressed or held", () => {
  expect(chords.length).toBeGreaterThan(50);
  expect(chords.filter((chord, i) => chords.indexOf(chord) !== i)).toEqual(["Space"]);
});

test("keys in tooltips and menus are those of the table", () => {
  const files = readdirSync(WORKSPACE, { recursive: true, encoding: "utf-8" }).filter((file) => file.endsWith(".tsx"));
  const shown = files.flatMap((file) => {
    const text = readFileSync(join(WORKSPACE, file), "utf-8");
    return [...text.matchAll(/keys[=:] ?"([^"]+)"/g)].map(([, keys]) => keys);
  });
  expect(shown.length).toBeGreaterThan(30);
  expect(shown.filter((keys) => !chords.includes(keys))).toEqual([]);
});

test("the server gives classes the keys that are free", () => {
  const { components } = JSON.parse(readFileSync(join(WORKSPACE, "../../schema/openapi.json"), "utf-8"));
  const [{ pattern }] = components.schemas.ClassCreate.properties.key.anyOf;
  const free = [..."123456789abcdefghijklmnopqrstuvwxyz"].filter((key) => !chords.includes(key.toUpperCase()));
  expect(pattern).toBe(`^[${free.join("")}]$`);
});
