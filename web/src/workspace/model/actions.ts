/**
 * Everything that a user can do in the workspace. Buttons, keys and the canvas call these functions, and only this
 * folder changes state (src/rules.test.ts holds it). Follow `addPoint` to see where a click is sent.
 */

export { acceptRange, toggleAccepted } from "./acceptance";
export { addClass, assignClass, changeClass, deleteClass, mergeClass } from "./classes";
export {
  addZonePoint,
  cancelZone,
  completeZone,
  drawZone,
  recount,
  removeZone,
  renameZone,
  setAnchor,
  showCounted,
  toggleCounting,
  turnLine,
} from "./counting";
export {
  closeDialog,
  fitView,
  openDialog,
  setCanvasSize,
  setCompare,
  setMasksVisible,
  setSplit,
  setView,
  toggleCompare,
  toggleMasks,
  toggleNames,
  zoomBy,
  zoomToPixels,
  zoomToSelection,
} from "./display";
export { closeMedium, importMasks, openMedium, openSibling, reconnect, renameMedium } from "./files";
export { redo, undo } from "./history";
export { hoverAt, prefetchDecode, setHovering } from "./hover";
export { drawMask, ensureDrawable, maskToEdit } from "./maskEditing";
export {
  moveRangeEdge,
  seek,
  seekFirst,
  seekLast,
  seekNextToReview,
  seekPrompted,
  setInPoint,
  setOutPoint,
  setRange,
  step,
  stopPlayingAt,
  toggleLooping,
  togglePlay,
} from "./navigation";
export { deleteObject, deleteObjects, deleteSelectedObjects, updateObject, updateObjects } from "./objects";
export {
  addPoint,
  changePrompt,
  chooseCandidate,
  clearPrompt,
  cycleCandidate,
  dismissCandidates,
  removePoint,
} from "./prompting";
export {
  acceptHighlighted,
  acceptOffered,
  closeProposals,
  cycleProposal,
  decideAt,
  highlightAt,
  offerRefused,
  refuseHighlighted,
  setProposalFilter,
  toggleMarkedAt,
} from "./proposals";
export {
  draftObject,
  select,
  selectAll,
  selectNeighbour,
  selectUpTo,
  startRenaming,
  stopRenaming,
  toggleSelected,
} from "./selection";
export {
  clickAtCursor,
  hideCursor,
  moveCursor,
  setBrushSize,
  setClickAdds,
  setLocalMode,
  setTool,
  showCursor,
  stepBrushSize,
  toggleClickAdds,
} from "./tools";
export {
  acceptAndTrack,
  cancelJob,
  discover,
  discoverRest,
  dismissDiscoveryResult,
  findProposals,
  followTracking,
  setDiscoveryOptions,
  track,
  trackUntracked,
} from "./tracking";
