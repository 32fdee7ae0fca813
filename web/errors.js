// What went wrong on one of our nodes, said again in the artist's language where there is a translation.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { retell } from "./shared/language.js";

const PREFIX = "SpatialAlign_";
const LONG = 20_000; // milliseconds that it stays; the English sentence is on the node

/** Listens from now on. */
export function translateErrors() {
  api.addEventListener("execution_error", ({ detail }) => {
    if (!detail?.node_type?.startsWith(PREFIX)) return;
    const english = detail.exception_message?.trim() ?? "";
    const text = retell(english);
    if (text !== english) app.extensionManager?.toast?.add({ severity: "error", summary: "SpatialAlign", detail: text, life: LONG });
  });
}
