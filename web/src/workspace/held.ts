/** Keys that are held down: the canvas asks for them while the pointer moves. */
export const held = {
  space: false,
  /** Whether the picture was moved while space was held; else letting it go plays. */
  panned: false,
};
