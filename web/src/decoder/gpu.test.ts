import { afterEach, expect, test, vi } from "vitest";
import { hasGpu } from "./gpu";

const browser = (adapter: unknown, wanted: string | null = null) => {
  vi.stubGlobal("localStorage", { getItem: () => wanted });
  vi.stubGlobal("navigator", adapter === undefined ? {} : { gpu: { requestAdapter: async () => adapter } });
};
afterEach(() => vi.unstubAllGlobals());

test("only a real GPU is used, unless the user says otherwise", async () => {
  browser(undefined);
  expect(await hasGpu()).toBe(false);
  browser(null);
  expect(await hasGpu()).toBe(false);
  browser({ info: {} });
  expect(await hasGpu()).toBe(true);
  browser({ info: { isFallbackAdapter: true } });
  expect(await hasGpu()).toBe(false);
  browser({ info: { isFallbackAdapter: true } }, "any");
  expect(await hasGpu()).toBe(true);
  browser({ info: {} }, "off");
  expect(await hasGpu()).toBe(false);
});
