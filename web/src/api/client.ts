/** All requests to the server. Nothing else in the page knows an address or a status code. */

import type {
  AcceptAnswer,
  AcceptRequest,
  Asset,
  BulkAnswer,
  ClassCount,
  ClassFields,
  ClassList,
  CountAnswer,
  CountRequest,
  ErrorAnswer,
  ExportRequest,
  FormatCatalogue,
  FrameAnswer,
  FrameMasks,
  FrameMasksList,
  Graphs,
  History,
  HistoryAnswer,
  ImportMode,
  ImportReport,
  Job,
  JobState,
  LocalDecode,
  MediaQuery,
  Medium,
  MediumList,
  Neighbours,
  ObjectClass,
  ObjectFields,
  Project,
  PromptAnswer,
  PromptBody,
  PromptsOnFrame,
  RenderRequest,
  Rle,
  SegmentObject,
  ServerInfo,
  Suggestion,
  Timeline,
  TrackRequest,
  UploadReport,
} from "./types";

const BASE = "/api/v1";

/** The server refused a request, or could not be reached (`status` 0). `message` is a sentence for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field: string | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
type Query = Readonly<Record<string, string | number | boolean | readonly string[] | null | undefined>>;

type ConnectionListener = (reachable: boolean) => void;
let onConnection: ConnectionListener = () => {};
/** Call the listener after every request with whether the server answered at all. */
export function listenToConnection(listener: ConnectionListener): void {
  onConnection = listener;
}

function address(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) for (const item of value) params.append(name, item);
    else if (value !== null && value !== undefined) params.set(name, String(value));
  }
  const search = params.toString();
  return `${BASE}${path}${search ? `?${search}` : ""}`;
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

async function toError(response: Response): Promise<ApiError> {
  try {
    const body = (await response.json()) as Partial<ErrorAnswer>;
    if (body.error) return new ApiError(response.status, body.error.code, body.error.message, body.error.field ?? null);
  } catch {
    // Not JSON: fall through to the status line.
  }
  return new ApiError(response.status, "unknown", `The server answered ${response.status} ${response.statusText}.`);
}

async function send(
  method: Method,
  path: string,
  options: { query?: Query; json?: unknown; form?: FormData; signal?: AbortSignal; key?: string } = {},
): Promise<Response> {
  const headers: Record<string, string> = {};
  if (options.key !== undefined) headers["Idempotency-Key"] = options.key;
  if (method !== "GET") headers["X-Masklet"] = "1";
  if (options.json !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(address(path, options.query), {
      method,
      headers,
      body: options.form ?? (options.json === undefined ? null : JSON.stringify(options.json)),
      signal: options.signal ?? null,
      credentials: "same-origin",
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    onConnection(false);
    throw new ApiError(0, "unreachable", "The server cannot be reached. Your work so far is saved.");
  }
  onConnection(true);
  if (!response.ok) throw await toError(response);
  return response;
}

export async function call<T>(method: Method, path: string, options: Parameters<typeof send>[2] = {}): Promise<T> {
  const response = await send(method, path, options);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

// Server and user.

export const getMe = (): Promise<ServerInfo> => call("GET", "/me");
export const login = (token: string): Promise<unknown> => call("POST", "/login", { json: { token } });
export const logout = (): Promise<unknown> => call("POST", "/logout");

// Projects and media.

export const listProjects = async (): Promise<Project[]> =>
  (await call<{ projects: Project[] }>("GET", "/projects")).projects;
export const createProject = (name: string): Promise<Project> => call("POST", "/projects", { json: { name } });
export const getProject = (pid: string): Promise<Project> => call("GET", `/projects/${pid}`);
export const renameProject = (pid: string, name: string): Promise<Project> =>
  call("PATCH", `/projects/${pid}`, { json: { name } });
export const deleteProject = (pid: string): Promise<void> => call("DELETE", `/projects/${pid}`);

export const listClasses = async (pid: string): Promise<ClassCount[]> =>
  (await call<{ classes: ClassCount[] }>("GET", `/projects/${pid}/classes`)).classes;
export const listMedia = (pid: string, query: MediaQuery): Promise<MediumList> =>
  call("GET", `/projects/${pid}/media`, { query });
/** Return the ids of all media that fit a filter, in its order. */
export const listMediaIds = async (pid: string, query: MediaQuery): Promise<string[]> =>
  (await call<{ ids: string[] }>("GET", `/projects/${pid}/media/ids`, { query })).ids;
export const getNeighbours = (mid: string): Promise<Neighbours> => call("GET", `/media/${mid}/neighbours`);

/** Largest number of media in one request of those that follow. */
export const MAX_BULK = 100;
export const acceptMedia = (pid: string, media: readonly string[], accepted: boolean): Promise<BulkAnswer> =>
  call("POST", `/projects/${pid}/media/accept`, { json: { media, accepted } });
export const undoMedia = (pid: string, media: BulkAnswer["done"]): Promise<BulkAnswer> =>
  call("POST", `/projects/${pid}/media/undo`, { json: { media } });
export const trashMedia = (pid: string, media: readonly string[]): Promise<BulkAnswer> =>
  call("POST", `/projects/${pid}/media/trash`, { json: { media } });
export const restoreMedia = (pid: string, media: readonly string[]): Promise<BulkAnswer> =>
  call("POST", `/projects/${pid}/media/restore`, { json: { media } });
export const deleteTrashedMedia = (pid: string, media: readonly string[]): Promise<BulkAnswer> =>
  call("POST", `/projects/${pid}/media/delete`, { json: { media } });
export const moveMedia = (pid: string, media: readonly string[], project: string): Promise<BulkAnswer> =>
  call("POST", `/projects/${pid}/media/move`, { json: { media, project } });
export const getMedium = (mid: string): Promise<Medium> => call("GET", `/media/${mid}`);
export const renameMedium = (mid: string, name: string): Promise<Medium> =>
  call("PATCH", `/media/${mid}`, { json: { name } });

/** Upload with progress in 0..1, which `fetch` does not report. */
export function uploadMedia(
  pid: string,
  files: readonly File[],
  as: "auto" | "sequence",
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
): Promise<UploadReport> {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const file of files) form.append("files", file, file.webkitRelativePath || file.name);
    const request = new XMLHttpRequest();
    request.open("POST", address(`/projects/${pid}/media`, { as }));
    request.setRequestHeader("X-Masklet", "1");
    request.responseType = "json";
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    };
    request.onerror = () => {
      onConnection(false);
      reject(new ApiError(0, "unreachable", "The connection was lost while uploading. Try again."));
    };
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onload = () => {
      onConnection(true);
      const body = request.response as (UploadReport & Partial<ErrorAnswer>) | null;
      // 201 with some files rejected, or an error for all of them: both carry messages to show.
      if (body?.media) resolve({ media: body.media, rejected: body.rejected ?? [] });
      else if (body?.error) reject(new ApiError(request.status, body.error.code, body.error.message));
      else reject(new ApiError(request.status, "unknown", `The server answered ${request.status} to the upload.`));
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/** Return the address of a frame as JPEG; the server rounds `width` up to one of its sizes, null is the source's own. */
export const frameUrl = (mid: string, frame: number, width: number | null): string =>
  address(`/media/${mid}/frames/${frame}.jpg`, { width });
export const stripUrl = (mid: string, count: number, height: number, start: number, stop: number): string =>
  address(`/media/${mid}/strip.jpg`, { count, height, start, stop });

export async function fetchBlob(url: string, signal?: AbortSignal): Promise<Blob> {
  const response = await send("GET", url.replace(BASE, ""), { signal });
  return response.blob();
}

// Objects. Requests with a `key` are idempotent: sent again with the same key after a lost answer, they are done once.

/** Return a new idempotency key. (`crypto.randomUUID` is missing in pages without HTTPS.) */
export const newKey = (): string => [...crypto.getRandomValues(new Uint32Array(4))].join("-");

export const listObjects = async (mid: string): Promise<SegmentObject[]> =>
  (await call<{ objects: SegmentObject[] }>("GET", `/media/${mid}/objects`)).objects;
export const createObject = (mid: string, fields: ObjectFields, key: string): Promise<SegmentObject> =>
  call("POST", `/media/${mid}/objects`, { json: fields, key });
export const updateObject = (mid: string, oid: number, fields: ObjectFields): Promise<SegmentObject> =>
  call("PATCH", `/media/${mid}/objects/${oid}`, { json: fields });
export const updateObjects = (
  mid: string,
  ids: readonly number[],
  fields: Omit<ObjectFields, "name">,
  key: string,
): Promise<unknown> => call("PATCH", `/media/${mid}/objects`, { json: { ids, ...fields }, key });
export const deleteObjects = (mid: string, ids: readonly number[], key: string): Promise<void> =>
  call("POST", `/media/${mid}/objects/delete`, { json: { ids }, key });

// Classes of a project.

export const createClass = (pid: string, name: string): Promise<ObjectClass> =>
  call("POST", `/projects/${pid}/classes`, { json: { name } });
export const changeClass = async (pid: string, cid: string, fields: ClassFields): Promise<readonly ObjectClass[]> =>
  (await call<ClassList>("PATCH", `/projects/${pid}/classes/${cid}`, { json: fields })).classes;
export const mergeClass = async (pid: string, cid: string, into: string): Promise<readonly ObjectClass[]> =>
  (await call<ClassList>("POST", `/projects/${pid}/classes/${cid}/merge`, { json: { into } })).classes;
export const deleteClass = (pid: string, cid: string): Promise<void> =>
  call("DELETE", `/projects/${pid}/classes/${cid}`);

// Prompts and hand edits.

export const putPrompt = (
  mid: string,
  frame: number,
  oid: number,
  prompt: PromptBody,
  localDecode: LocalDecode | null,
  key: string,
): Promise<PromptAnswer> =>
  call("PUT", `/media/${mid}/frames/${frame}/objects/${oid}/prompt`, { json: { ...prompt, answer: localDecode }, key });
export const deletePrompt = (mid: string, frame: number, oid: number, key: string): Promise<FrameAnswer> =>
  call("DELETE", `/media/${mid}/frames/${frame}/objects/${oid}/prompt`, { key });
export const putMask = (
  mid: string,
  frame: number,
  oid: number,
  rle: Rle,
  key: string,
): Promise<FrameAnswer & { readonly frame: FrameMasks }> =>
  call("PUT", `/media/${mid}/frames/${frame}/objects/${oid}/mask`, { json: { rle }, key });
export const getPrompts = async (mid: string, frame: number, signal?: AbortSignal): Promise<PromptsOnFrame> =>
  (await call<{ prompts: PromptsOnFrame }>("GET", `/media/${mid}/frames/${frame}/prompts`, { signal })).prompts;

// Masks, timeline, review.

export const getMasks = (
  mid: string,
  start: number,
  stop: number,
  before: boolean,
  signal?: AbortSignal,
): Promise<FrameMasksList> => call("GET", `/media/${mid}/masks`, { query: { start, stop, before }, signal });
export const getTimeline = (mid: string): Promise<Timeline> => call("GET", `/media/${mid}/timeline`);
export const accept = (mid: string, range: AcceptRequest, key: string): Promise<AcceptAnswer> =>
  call("POST", `/media/${mid}/accept`, { json: range, key });
export const getSuggestions = async (mid: string, k: number): Promise<Suggestion[]> =>
  (await call<{ suggestions: Suggestion[] }>("GET", `/media/${mid}/suggestions`, { query: { k } })).suggestions;
export const count = (mid: string, request: Partial<CountRequest>): Promise<CountAnswer> =>
  call("POST", `/media/${mid}/count`, { json: request });
export const undo = (mid: string, key: string): Promise<HistoryAnswer> => call("POST", `/media/${mid}/undo`, { key });
export const redo = (mid: string, key: string): Promise<HistoryAnswer> => call("POST", `/media/${mid}/redo`, { key });
export const getHistory = (mid: string): Promise<History> => call("GET", `/media/${mid}/history`);
export function importMasks(
  mid: string,
  format: string,
  mode: ImportMode,
  files: readonly File[],
): Promise<ImportReport> {
  const form = new FormData();
  for (const file of files) form.append("files", file, file.webkitRelativePath || file.name);
  return call("POST", `/media/${mid}/import`, { query: { format, mode }, form });
}

// The model in the page.

export const getGraphs = (): Promise<Graphs> => call("GET", "/graphs");
export const embeddingUrl = (mid: string, frame: number): string => address(`/media/${mid}/frames/${frame}/embedding`);

// Jobs.

export const startTracking = (mid: string, request: TrackRequest, key: string): Promise<Job> =>
  call("POST", `/media/${mid}/track`, { json: request, key });
export const listJobs = async (mid: string): Promise<Job[]> =>
  (await call<{ jobs: Job[] }>("GET", "/jobs", { query: { media_id: mid } })).jobs;
const getJob = (jid: string): Promise<Job> => call("GET", `/jobs/${jid}`);
export const cancelJob = (jid: string): Promise<unknown> => call("POST", `/jobs/${jid}/cancel`);

interface JobListener {
  onJob(job: Job): void;
  onMasks?(frame: FrameMasks): void;
}

const FINAL: ReadonlySet<JobState> = new Set(["done", "failed", "cancelled"]);
export const isFinal = (job: Job): boolean => FINAL.has(job.state);

/** Follow a job until it ends. The browser reconnects by itself. Returns the function that stops following. */
export function followJob(jid: string, listener: JobListener): () => void {
  const events = new EventSource(address(`/jobs/${jid}/events`));
  const onJob = (event: MessageEvent<string>) => {
    const job = JSON.parse(event.data) as Job;
    if (isFinal(job)) events.close();
    listener.onJob(job);
  };
  for (const name of ["progress", "done", "failed", "cancelled"]) events.addEventListener(name, onJob);
  events.addEventListener("masks", (event: MessageEvent<string>) => {
    listener.onMasks?.(JSON.parse(event.data) as FrameMasks);
  });
  events.onerror = () => {
    if (events.readyState !== EventSource.CLOSED) {
      getMe().catch(() => {}); // reports to the connection listener
      return;
    }
    // The server refused (a restarted server has forgotten its jobs): ask once for the job's end.
    getJob(jid).then(
      (job) => listener.onJob(job),
      (error: unknown) => {
        const message = error instanceof Error ? error.message : "The job no longer exists.";
        listener.onJob({ ...LOST_JOB, id: jid, message });
      },
    );
  };
  return () => events.close();
}

/** A job that a restarted server no longer knows. */
const LOST_JOB: Job = {
  id: "",
  kind: "track",
  project_id: "",
  media_id: null,
  created_at: "",
  state: "failed",
  done: 0,
  total: null,
  fps: null,
  eta_s: null,
  message: null,
  interrupted: true,
  result: null,
};

// Results.

export const getFormats = (): Promise<FormatCatalogue> => call("GET", "/formats");
export const startExport = (mid: string, request: ExportRequest): Promise<Job> =>
  call("POST", `/media/${mid}/export`, { json: request });
export const startProjectExport = (pid: string, request: ExportRequest): Promise<Job> =>
  call("POST", `/projects/${pid}/export`, { json: request });
export const startRender = (mid: string, request: RenderRequest): Promise<Job> =>
  call("POST", `/media/${mid}/render`, { json: request });
export async function getPreview(
  mid: string,
  frame: number,
  composition: RenderRequest["composition"],
  width: number,
  signal: AbortSignal,
): Promise<Blob> {
  const response = await send("POST", `/media/${mid}/frames/${frame}/preview`, {
    json: { composition, width },
    signal,
  });
  return response.blob();
}
export function uploadAsset(pid: string, file: File): Promise<Asset> {
  const form = new FormData();
  form.append("file", file, file.name);
  return call("POST", `/projects/${pid}/assets`, { form });
}
