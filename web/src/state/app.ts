/** What the whole page shares: who is there, theme, toasts, connection. */

import { create } from "zustand";
import * as api from "../api/client";
import type { AppInfo } from "../api/types";
import { messageOf } from "../lib/text";

export type ThemeChoice = "system" | "light" | "dark";

export interface Toast {
  readonly id: number;
  readonly text: string;
  readonly kind: "done" | "error";
  readonly action?: { readonly label: string; readonly run: () => void };
}

interface AppState {
  readonly info: AppInfo | null;
  readonly startError: string | null;
  readonly theme: ThemeChoice;
  readonly toasts: readonly Toast[];
  readonly online: boolean;
  /** Shortly after the connection has come back, to say so. */
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

export function setTheme(theme: ThemeChoice): void {
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
  // The banner already says that the server is away.
  if (api.isAbort(error) || (error instanceof api.ApiError && error.status === 0)) return;
  if (error instanceof api.ApiError && error.status === 401) void start();
  addToast({ id: nextToast++, text: messageOf(error), kind: "error" }, 9000);
}

function addToast(added: Toast, lifetimeMs: number): void {
  // What was done before gives way: its "Undo" would now undo something else.
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
/** Be told when the server is reachable again after it was not. */
export function onReconnected(listener: () => void): () => void {
  backListeners.add(listener);
  return () => backListeners.delete(listener);
}

/** When the server can be reached. */
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
  const was = get().online;
  if (reachable === was) return;
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

// A server that goes away is noticed also while nobody asks it anything.
setInterval(() => {
  if (get().info && get().online && document.visibilityState === "visible") api.getMe().catch(() => {});
}, 10_000);

/** Ask who we are; the first thing the page does, and again after logging in. */
export async function start(): Promise<void> {
  try {
    set({ info: await api.getMe(), startError: null });
  } catch (error) {
    set({ startError: messageOf(error) });
    if (error instanceof api.ApiError && error.status === 0) setTimeout(() => void start(), 1000);
  }
}
