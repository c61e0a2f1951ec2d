import { expect, test } from "vitest";
import { EVERYTHING, formatView, isFiltered, type ListView, pageOf, parseView, toggleSelected } from "./mediaList";

test("a view survives the way through the address", () => {
  const view: ListView = {
    search: "50 % & more",
    state: "review",
    kind: "video",
    className: "",
    trash: true,
    sort: "-changed",
    page: 2,
  };
  expect(parseView(formatView(view))).toEqual(view);
  expect(formatView(EVERYTHING)).toBe("");
  expect(parseView("")).toEqual(EVERYTHING);
});

test("what is not valid in an address is left out", () => {
  expect(parseView("state=done&kind=sound&sort=size&page=-3&trash=yes")).toEqual(EVERYTHING);
  expect(parseView("page=x")).toEqual(EVERYTHING);
});

test("a page is asked for by its offset", () => {
  expect(pageOf({ ...EVERYTHING, page: 3, state: "new" })).toMatchObject({ offset: 180, limit: 60, state: ["new"] });
});

test("order, page and trash are no filter", () => {
  expect(isFiltered({ ...EVERYTHING, page: 3, sort: "name", trash: true })).toBe(false);
  expect(isFiltered({ ...EVERYTHING, className: "" })).toBe(true);
});

test("a range follows the checkbox that ends it", () => {
  const shown = ["a", "b", "c", "d"];
  expect([...toggleSelected(new Set(), "b", shown)]).toEqual(["b"]);
  expect([...toggleSelected(new Set(["b"]), "d", shown, "b")]).toEqual(["b", "c", "d"]);
  expect([...toggleSelected(new Set(shown), "a", shown, "c")]).toEqual(["d"]);
  expect([...toggleSelected(new Set(["x"]), "a", shown, "x")]).toEqual(["x", "a"]);
});
