/** The list of a project's media: its filter, order and page, in the address; and which of it is selected. */

import type { MediaQuery, Medium, MediumSort, MediumState } from "../api/types";

export const PAGE_SIZE = 60;

export const STATES: readonly MediumState[] = ["new", "work", "review", "accepted"];

export const STATE_NAMES: Readonly<Record<MediumState, string>> = {
  new: "Not started",
  work: "In work",
  review: "To review",
  accepted: "Accepted",
};

export const SORT_NAMES: Readonly<Record<MediumSort, string>> = {
  added: "Oldest first",
  "-added": "Newest first",
  name: "Name",
  "-changed": "Last changed",
  state: "Progress",
  "-objects": "Most objects",
};
export const SORTS = Object.keys(SORT_NAMES) as MediumSort[];

export interface ListView {
  readonly search: string;
  readonly state: MediumState | null;
  readonly kind: Medium["kind"] | null;
  /** "" finds objects without a class. */
  readonly className: string | null;
  readonly trash: boolean;
  readonly sort: MediumSort;
  /** From 0. */
  readonly page: number;
}

export const EVERYTHING: ListView = {
  search: "",
  state: null,
  kind: null,
  className: null,
  trash: false,
  sort: "added",
  page: 0,
};

const oneOf = <T extends string>(value: string | null, allowed: readonly T[]): T | null =>
  allowed.find((choice) => choice === value) ?? null;

/** Read a view from an address; what is not valid there is left out. */
export function parseView(query: string): ListView {
  const params = new URLSearchParams(query);
  const page = (Number.parseInt(params.get("page") ?? "1", 10) || 1) - 1;
  return {
    search: params.get("search") ?? "",
    state: oneOf(params.get("state"), STATES),
    kind: oneOf(params.get("kind"), ["image", "video"]),
    className: params.get("class"),
    trash: params.get("trash") === "1",
    sort: oneOf(params.get("sort"), SORTS) ?? "added",
    page: Math.max(page, 0),
  };
}

/** Write a view as the query of an address, without what is usual. */
export function formatView(view: ListView): string {
  const params = new URLSearchParams();
  if (view.search) params.set("search", view.search);
  if (view.state) params.set("state", view.state);
  if (view.kind) params.set("kind", view.kind);
  if (view.className !== null) params.set("class", view.className);
  if (view.trash) params.set("trash", "1");
  if (view.sort !== "added") params.set("sort", view.sort);
  if (view.page) params.set("page", String(view.page + 1));
  return params.toString();
}

/** Return the view as the server asks for it, without its page. */
export const filterOf = (view: ListView): MediaQuery => ({
  search: view.search,
  state: view.state ? [view.state] : [],
  kind: view.kind,
  class: view.className,
  trash: view.trash,
  sort: view.sort,
});

export const pageOf = (view: ListView): MediaQuery => ({
  ...filterOf(view),
  offset: view.page * PAGE_SIZE,
  limit: PAGE_SIZE,
});

export const isFiltered = (view: ListView): boolean =>
  view.search !== "" || view.state !== null || view.kind !== null || view.className !== null;

/** Return the selection after a click on the checkbox of `id`; with `from`, everything between the two follows it. */
export function toggleSelected(
  selected: ReadonlySet<string>,
  id: string,
  shown: readonly string[],
  from: string | null = null,
): ReadonlySet<string> {
  const isOn = !selected.has(id);
  const [a, b] = [shown.indexOf(from ?? id), shown.indexOf(id)];
  const range = a < 0 || b < 0 ? [id] : shown.slice(Math.min(a, b), Math.max(a, b) + 1);
  const changed = new Set(selected);
  for (const member of range) {
    if (isOn) changed.add(member);
    else changed.delete(member);
  }
  return changed;
}
