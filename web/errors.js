// What went wrong on one of our nodes, said again in the artist's language where there is a translation.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const PREFIX = "SpatialAlign_";
const LONG = 20_000; // milliseconds that it stays; the English sentence is on the node

/** Listens from now on. */
export function translateErrors() {
  api.addEventListener("execution_error", async ({ detail }) => {
    if (!detail?.node_type?.startsWith(PREFIX)) return;
    const text = translate(detail.exception_message?.trim() ?? "", await table());
    if (text) app.extensionManager?.toast?.add({ severity: "error", summary: "SpatialAlign", detail: text, life: LONG });
  });
}

/** The sentence in the other language, or "" when the table does not have it. {0} in a pattern stands for anything. */
export function translate(sentence, patterns) {
  for (const [english, other] of Object.entries(patterns)) {
    const names = [...english.matchAll(/\{(\d)\}/g)].map((found) => found[1]);
    const parts = english.split(/\{\d\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    const found = sentence.match(new RegExp(`^${parts.join("(.*?)")}$`, "s"));
    if (found) return other.replace(/\{(\d)\}/g, (_, name) => found[1 + names.indexOf(name)] ?? "");
  }
  return "";
}

async function table() {
  const language = app.extensionManager?.setting?.get?.("Comfy.Locale") ?? navigator.language.split("-")[0];
  try {
    const all = await (await api.fetchApi("/i18n")).json();
    return all[language]?.spatialalign?.errors ?? {};
  } catch {
    return {};
  }
}
