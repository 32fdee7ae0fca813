// What went wrong on one of our nodes, where one looks: on the node, and in a message, in the artist's language.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addFitting, dropProgress, grow } from "./node_text.js";
import { html, say, shield } from "./shared/dom.js";
import { pathTo } from "./shared/graph.js";
import { retell, t } from "./shared/language.js";

const PREFIX = "SpatialAlign_";
const WIDGET = "spatialalign_error";
const LONG = 20_000; // milliseconds that the message stays; the node keeps the sentence

/** Listens from now on. Called before ComfyUI listens itself, so that its own lists show the same sentence. */
export function showErrors() {
  api.addEventListener("execution_error", ({ detail }) => {
    if (!detail?.node_type?.startsWith(PREFIX)) return;
    detail.exception_message = retell(detail.exception_message?.trim() ?? "");
    show(detail.node_id, detail.exception_message);
  });
  // ComfyUI leaves on a node how far it was.
  for (const kind of ["execution_interrupted", "execution_error"]) {
    api.addEventListener(kind, () => [...everyNode(app.rootGraph ?? app.graph)].filter(isOurs).forEach(dropProgress));
  }
  // ComfyUI has no event for a workflow that it refuses.
  const queue = api.queuePrompt;
  api.queuePrompt = async function () {
    clear();
    try {
      const answer = await queue.apply(this, arguments);
      refused(answer?.node_errors);
      return answer;
    } catch (error) {
      refused(error?.response?.node_errors);
      throw error;
    }
  };
}

/** What is wrong with inputs, before anything runs: by node, errors of ComfyUI and of our own checks. */
function refused(nodes) {
  for (const [id, { class_type: kind, errors }] of Object.entries(nodes ?? {})) {
    if (!kind?.startsWith(PREFIX)) continue;
    const told = errors.map(sentence);
    if (told.length) show(id, [...new Set(told)].join("\n"));
  }
}

function sentence(error) {
  const input = error.extra_info?.input_name ?? "";
  if (error.type === "custom_validation_failed") {
    const own = retell(error.details.replace(`${input} - `, ""));
    error.details = `${input} - ${own}`;
    return own;
  }
  if (error.type.startsWith("exception_during")) {
    error.details = retell(error.details);
    delete error.extra_info?.input_name; // of the node behind it: ComfyUI would mark an innocent input
    return error.details;
  }
  if (error.type === "required_input_missing") return t`Nothing is connected to ${input}.`;
  if (error.type === "value_not_in_list") return t`${input} has the value ${String(error.extra_info?.received_value)}, which is not on its list; choose another one.`;
  if (error.type === "value_smaller_than_min" || error.type === "value_bigger_than_max") {
    const { min, max } = error.extra_info?.input_config?.[1] ?? {};
    return t`${input} must lie between ${String(min)} and ${String(max)}.`;
  }
  return [error.message, error.details].filter(Boolean).join(": ");
}

function show(id, text) {
  app.extensionManager?.toast?.add({ severity: "error", summary: title(id), detail: text, life: LONG });
  for (const node of pathTo(id)) write(node, text);
}

function title(id) {
  return pathTo(id).at(-1)?.title ?? "SpatialAlign";
}

function write(node, text) {
  let widget = node.widgets?.find(({ name }) => name === WIDGET);
  if (!widget) {
    const words = html("div", {});
    const box = html("div", { class: "sa-failure", role: "alert", tabindex: "0" }, words);
    const before = [...node.size];
    widget = addFitting(node, WIDGET, shield(html("div", { class: "spatialalign sa-failed" }, box)), words, () => enlarge(widget));
    Object.assign(widget, { words, before });
  }
  say(widget.words, text);
  enlarge(widget);

  function enlarge(grown) {
    grow(node);
    grown.after = [...node.size];
  }
}

/** Before a run: what was wrong may have been mended. */
function clear() {
  for (const node of everyNode(app.rootGraph ?? app.graph)) {
    const widget = node.widgets?.find(({ name }) => name === WIDGET);
    if (!widget) continue;
    node.removeWidget ? node.removeWidget(widget) : node.widgets.splice(node.widgets.indexOf(widget), 1);
    widget.onRemove?.();
    widget.element.remove();
    // As it was, unless the artist has made it larger or smaller meanwhile.
    if (widget.after.every((side, index) => side === node.size[index])) node.setSize(widget.before);
    node.setDirtyCanvas?.(true, true);
  }
}

function isOurs({ comfyClass }) {
  return comfyClass?.startsWith(PREFIX);
}

function* everyNode(graph) {
  for (const node of graph?.nodes ?? graph?._nodes ?? []) {
    yield node;
    if (node.subgraph) yield* everyNode(node.subgraph);
  }
}
