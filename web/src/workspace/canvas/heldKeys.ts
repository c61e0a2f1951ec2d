/** Keys that are held down, for the canvas while the pointer moves. */
export const heldKeys = {
  space: false,
  /** True if the picture was moved while space was held; otherwise releasing space plays or pauses. */
  panned: false,
};
