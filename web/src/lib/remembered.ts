/** What a user has chosen, remembered in this browser. A browser that stores nothing remembers nothing. */

/** Read what was remembered; what is not an object, or cannot be read, is as if nothing were. */
export function readRemembered<T extends object>(text: string | null, usual: T): T {
  try {
    const stored: unknown = JSON.parse(text ?? "null");
    return stored !== null && typeof stored === "object" && !Array.isArray(stored) ? { ...usual, ...stored } : usual;
  } catch {
    return usual;
  }
}

export function remember(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // A private window, or no space left.
  }
}
