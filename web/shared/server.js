// The pack's routes and its one event.
import { api } from "../../../scripts/api.js";
import { retell, t } from "./language.js";

const ROOT = "/spatialalign";
const EVENT = "spatialalign";

/** What the server refused, in its own words said again in the artist's language; status is 0 when it could not be reached. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Look: the JSON of a GET route, for example look("training", { run: "quickstart" }). */
export function look(route, query = {}) {
  return ask(address(route, query), { cache: "no-store" });
}

/** Change: the JSON of a POST route. */
export function change(route, values) {
  const headers = { "Content-Type": "application/json" };
  return ask(address(route), { method: "POST", headers, body: JSON.stringify(values) });
}

/** Where a player finds the video of a sample: { set, prompt, seed } of a run. */
export function videoUrl(run, { set, prompt, seed }) {
  return api.apiURL(address("video", { run, set, prompt, seed }));
}

/** Where the first, middle and last frame of a sample are found in one small picture. changed: when it was made. */
export function stripUrl(run, { set, prompt, seed, changed }) {
  return api.apiURL(address("strip", { run, set, prompt, seed, changed }));
}

/** Where the picture of a comparison is found. */
export function pictureUrl(run, name) {
  return api.apiURL(address("picture", { run, name }));
}

/** Where a browser opens the report of a run. */
export function reportUrl(run) {
  return api.apiURL(address("report", { run }));
}

/** Where a run is downloaded as a zip of these parts. */
export function zipUrl(run, parts) {
  return api.apiURL(address("zip", { run, parts: parts.join(",") }));
}

/** Where a player finds a file in ComfyUI's own folders: { filename, subfolder, type }. */
export function viewUrl({ filename, subfolder, type }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
}

/** Hear the pack's event; returns a function that ends it. The event says that something is new, look() says what. */
export function hear(listener) {
  const handle = (event) => listener(event.detail ?? {});
  api.addEventListener(EVENT, handle);
  return () => api.removeEventListener(EVENT, handle);
}

function address(route, query = {}) {
  const words = new URLSearchParams(query).toString();
  return `${ROOT}/${route}${words ? `?${words}` : ""}`;
}

async function ask(path, options) {
  let answer;
  try {
    answer = await api.fetchApi(path, options);
  } catch {
    throw new Refused(t("ComfyUI does not answer; it may have been closed. This page goes on asking."), 0);
  }
  const values = await answer.json().catch(() => null);
  if (!answer.ok || values === null) {
    throw new Refused(retell(values?.error) ?? t`ComfyUI answered with ${answer.status} ${answer.statusText}.`, answer.status);
  }
  return values;
}
