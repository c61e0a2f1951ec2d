/** The rules of this folder: which room may import which, that only actions change state, and that nothing is unused. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

const ROOT = import.meta.dirname;

/** For each room, the rooms it may import. A file is in the longest room that its path starts with. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  api: [],
  lib: ["api"],
  decoder: ["api", "lib"],
  media: ["api", "lib"],
  state: ["api", "lib"],
  ui: [],
  shell: ["api", "state", "ui"],
  exports: ["api", "lib", "state", "ui"],
  screens: ["api", "exports", "lib", "shell", "state", "ui"],
  "workspace/model": ["api", "decoder", "lib", "media", "state"],
  "workspace/canvas": ["api", "lib", "media", "state", "ui", "workspace/model"],
  "workspace/panels": ["api", "exports", "lib", "media", "shell", "state", "ui", "workspace/model"],
  workspace: ["api", "lib", "shell", "state", "ui", "workspace/canvas", "workspace/model", "workspace/panels"],
  "": ["screens", "shell", "state", "ui", "workspace"],
};

const files = readdirSync(ROOT, { recursive: true, encoding: "utf-8" }).filter(
  (file) => /\.tsx?$/.test(file) && !file.endsWith(".test.ts"),
);
const texts = new Map(files.map((file) => [file, readFileSync(join(ROOT, file), "utf-8")]));

const roomOf = (file: string): string =>
  Object.keys(LAYERS)
    .filter((room) => file.startsWith(`${room}/`))
    .sort((a, b) => b.length - a.length)[0] ?? "";

interface Import {
  /** The imported file. */
  readonly to: string;
  readonly isTypeOnly: boolean;
  readonly isReexport: boolean;
  /** Names before `as`. */
  readonly names: readonly string[];
  /** Everything is imported, as `* as name`. */
  readonly namespace: string | null;
}

const IMPORT = /^(import|export)( type)?\s([^;]*?)\sfrom\s"(\.[^"]+)"|import\("(\.[^"]+)"\)/gm;

function importsOf(file: string): Import[] {
  return [...(texts.get(file) ?? "").matchAll(IMPORT)].map(([, word, type, clause = "", path, lazy]) => {
    const base = relative(ROOT, join(ROOT, dirname(file), path ?? lazy));
    const to = ["", ".ts", ".tsx"].map((suffix) => base + suffix).find((name) => existsSync(join(ROOT, name))) ?? base;
    const list = /\{([^}]*)\}/.exec(clause)?.[1] ?? "";
    const names = list
      .split(",")
      .map(
        (name) =>
          name
            .trim()
            .replace(/^type /, "")
            .split(" as ")[0],
      )
      .filter(Boolean);
    return {
      to,
      isTypeOnly: type !== undefined,
      isReexport: word === "export",
      names,
      namespace: /\* as (\w+)/.exec(clause)?.[1] ?? null,
    };
  });
}

test("rooms import only the rooms below them", () => {
  const wrong = files.flatMap((file) =>
    importsOf(file)
      .filter(({ to }) => roomOf(to) !== roomOf(file) && !LAYERS[roomOf(file)].includes(roomOf(to)))
      .map(({ to }) => `${file} -> ${to}`),
  );
  expect(wrong).toEqual([]);
});

test("there are no import cycles", () => {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(" -> "));
    if (path.includes(file) || done.has(file)) return;
    for (const { to, isTypeOnly } of importsOf(file)) if (!isTypeOnly) visit(to, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(cycles).toEqual([]);
});

test("state changes only in its own rooms", () => {
  const others = files.filter((file) => !["state", "workspace/model"].includes(roomOf(file)));
  expect(others.length).toBeGreaterThan(50);
  expect(others.filter((file) => /\bsetState\b/.test(texts.get(file) ?? ""))).toEqual([]);
});

test("buttons, keys and the canvas change the workspace only through actions", () => {
  const readers = /\/(actions|store|session|prompts|strokes|useFrameMasks)\.ts$/;
  const wrong = files
    .filter((file) => /^workspace\/(canvas|panels)\/|^workspace\/[^/]+$/.test(file))
    .flatMap((file) =>
      importsOf(file)
        .filter(({ to }) => roomOf(to) === "workspace/model" && !readers.test(to))
        .map(({ to }) => `${file} -> ${to}`),
    );
  expect(wrong).toEqual([]);
});

test("every export is used by another file", () => {
  const used = new Set<string>();
  for (const file of files.concat(testFiles())) {
    const text = texts.get(file) ?? readFileSync(join(ROOT, file), "utf-8");
    if (!texts.has(file)) texts.set(file, text);
    for (const { to, names, namespace } of importsOf(file)) {
      for (const name of names) used.add(`${to} ${name}`);
      if (namespace)
        for (const [, name] of text.matchAll(new RegExp(`\\b${namespace}\\s*\\.(\\w+)`, "g")))
          used.add(`${to} ${name}`);
    }
  }
  const declared = /^export (?:async )?(?:const|function|class|interface|type) (\w+)/gm;
  const unused = files
    .filter((file) => file !== "api/schema.ts")
    .flatMap((file) => {
      const own = [...(texts.get(file) ?? "").matchAll(declared)].map(([, name]) => name);
      const passedOn = importsOf(file).flatMap(({ isReexport, names }) => (isReexport ? names : []));
      return [...own, ...passedOn].filter((name) => !used.has(`${file} ${name}`)).map((name) => `${file}: ${name}`);
    });
  expect(unused).toEqual([]);
});

const testFiles = (): string[] =>
  readdirSync(ROOT, { recursive: true, encoding: "utf-8" }).filter((file) => file.endsWith(".test.ts"));

test("no file is longer than 400 lines", () => {
  const lengths = files
    .filter((file) => file !== "api/schema.ts")
    .map((file) => [file, texts.get(file)?.split("\n").length ?? 0] as const);
  expect(lengths.filter(([, lines]) => lines > 401)).toEqual([]);
});
