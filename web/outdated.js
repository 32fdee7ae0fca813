// A result that no longer belongs to what the node is set to: it turns grey until the node has run again.
import { api } from "../../scripts/api.js";
import { after } from "./node_hooks.js";
import { html } from "./shared/dom.js";
import { fingerprint } from "./shared/graph.js";
import { t } from "./shared/language.js";
import { unwatch, watch, watchedNodes } from "./shared/watch.js";

const OURS = "spatialalign_";
const LIVE = new Set(["spatialalign_training", "spatialalign_rounds", "spatialalign_reading", "spatialalign_prompts"]);
const REMEMBERED = "spatialalign_inputs"; // a property of the node: the fingerprint of what its result was made from
const MOST = 50; // workflows in the queue

const queued = new Map(); // id of a queued workflow -> fingerprints of its nodes, when it was queued
let running = null; // the id of the one that runs

/** Listens from now on. */
export function rememberQueued() {
  const own = api.queuePrompt;
  api.queuePrompt = async function (...given) {
    const prints = new Map(watchedNodes().map((node) => [node, fingerprint(node)]));
    const answer = await own.apply(this, given);
    if (answer?.prompt_id) queued.set(answer.prompt_id, prints);
    if (queued.size > MOST) queued.delete(queued.keys().next().value);
    return answer;
  };
  api.addEventListener("execution_start", ({ detail }) => (running = detail?.prompt_id ?? null));
}

/** Let a node's result turn grey when a setting or a connection that it depends on changes. */
export function attachOutdated(node) {
  after(node, "onExecuted", () => {
    node.properties[REMEMBERED] = queued.get(running)?.get(node) ?? fingerprint(node);
    turn(node);
  });
  after(node, "onRemoved", () => unwatch(node));
  watch(node, () => turn(node));
}

function turn(node) {
  const results = (node.widgets ?? []).filter(({ name, element }) => element && name?.startsWith(OURS) && !LIVE.has(name));
  const made = node.properties?.[REMEMBERED];
  if (!results.length || !made) return;
  const outdated = made !== fingerprint(node);
  for (const { element } of results) {
    if (element.classList.contains("sa-outdated") === outdated) continue;
    element.classList.toggle("sa-outdated", outdated);
    element.querySelector(":scope > .sa-outdated-note")?.remove();
    if (outdated) element.append(html("p", { class: "sa-outdated-note", role: "status" }, t("Made before the last change; run again")));
  }
}
