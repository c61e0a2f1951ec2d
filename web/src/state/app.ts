/** State of the whole page: user, theme, toasts, connection. */

import { create } from "zustand";
import * as api from "../api/client";
import type { ServerInfo } from "../api/types";
import { messageOf } from "../lib/text";

type ThemeChoice = "system" | "light" | "dark";

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly kind: "done" | "error";
  readonly action?: { readonly label: string; readonly run: () => void };
}

interface AppState {
  readonly info: ServerInfo | null;
  readonly startError: string | null;
  readonly theme: ThemeChoice;
  readonly toasts: readonly Toast[];
  readonly online: boolean;
  /** True for a moment after the connection is back, to say so. */
  readonly justBack: boolean;
}

const THEME_KEY = "masklet.theme";
const storedTheme = localStorage.getItem(THEME_KEY);

export const useApp = create<AppState>(() => ({
  info: null,
  startError: null,
  theme: storedTheme === "light" || storedTheme === "dark" ? storedTheme : "system",
  toasts: [],
  online: true,
  justBack: false,
}));

const { setState: set, getState: get } = useApp;

// Theme.

const prefersLight = matchMedia("(prefers-color-scheme: light)");

function applyTheme(): void {
  const { theme } = get();
  const shown = theme === "system" ? (prefersLight.matches ? "light" : "dark") : theme;
  document.documentElement.dataset.theme = shown;
  window.dispatchEvent(new Event("themechange"));
}
prefersLight.addEventListener("change", applyTheme);
applyTheme();

function setTheme(theme: ThemeChoice): void {
  localStorage.setItem(THEME_KEY, theme);
  set({ theme });
  applyTheme();
}

export function nextTheme(): void {
  const order: readonly ThemeChoice[] = ["system", "light", "dark"];
  setTheme(order[(order.indexOf(get().theme) + 1) % order.length]);
}

// Toasts.

let nextToast = 1;

export function toast(text: string, action?: Toast["action"]): void {
  addToast({ id: nextToast++, text, kind: "done", action }, 4500);
}

export function toastError(error: unknown): void {
  // The banner already says that the server cannot be reached.
  if (api.isAbort(error) || (error instanceof api.ApiError && error.status === 0)) return;
  if (error instanceof api.ApiError && error.status === 401) void start();
  addToast({ id: nextToast++, text: messageOf(error), kind: "error" }, 9000);
}

function addToast(added: Toast, lifetimeMs: number): void {
  // Replace earlier confirmations: their "Undo" would now undo something else.
  const others = get().toasts.filter(
    (shown) => shown.text !== added.text && (shown.kind === "error" || added.kind === "error"),
  );
  set({ toasts: [...others.slice(-2), added] });
  setTimeout(() => dismissToast(added.id), lifetimeMs);
}

export function dismissToast(id: number): void {
  set({ toasts: get().toasts.filter((shown) => shown.id !== id) });
}

// Connection.

const backListeners = new Set<() => void>();
/** Call the listener when the server can be reached again; returns the function that ends it. */
export function onReconnected(listener: () => void): () => void {
  backListeners.add(listener);
  return () => backListeners.delete(listener);
}

/** Resolve when the server can be reached. */
export function backOnline(): Promise<void> {
  if (get().online) return Promise.resolve();
  return new Promise((resolve) => {
    const stop = onReconnected(() => {
      stop();
      resolve();
    });
  });
}

let retry: ReturnType<typeof setTimeout> | null = null;

api.listenToConnection((reachable) => {
  if (reachable === get().online) return;
  set({ online: reachable });
  if (!reachable) {
    scheduleRetry();
    return;
  }
  set({ justBack: true });
  setTimeout(() => set({ justBack: false }), 2500);
  for (const listener of backListeners) listener();
});

function scheduleRetry(): void {
  if (retry !== null) return;
  retry = setTimeout(() => {
    retry = null;
    api.getMe().then(
      (info) => set({ info }),
      () => scheduleRetry(),
    );
  }, 1000);
}

// Notice a server that has gone even while the page asks it nothing.
setInterval(() => {
  if (get().info && get().online && document.visibilityState === "visible") api.getMe().catch(() => {});
}, 10_000);

/** Ask the server who the user is: when the page opens, and after logging in. */
export async function start(): Promise<void> {
  try {
    set({ info: await api.getMe(), startError: null });
  } catch (error) {
    set({ startError: messageOf(error) });
    if (error instanceof api.ApiError && error.status === 0) setTimeout(() => void start(), 1000);
  }
}
