// What a node showed before the page was loaded anew, or another workflow was looked at, it shows again: ComfyUI keeps
// it in its history for as long as it runs, and the node the id of the run that it is from.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { after } from "./node_hooks.js";
import { pathTo } from "./shared/graph.js";

const REMEMBERED = "spatialalign_shown"; // a property of the node: { prompt, node }, as /history names both
const KEPT = 30_000; // milliseconds that an answer is used for all nodes of a workflow

const answers = new Map(); // prompt -> promise of { output, kind } by node

/** Listens from now on to which run's output every node of ours shows. */
export function rememberOutputs(prefix) {
  api.addEventListener("executed", ({ detail }) => {
    const node = pathTo(detail?.display_node ?? detail?.node).at(-1);
    if (node?.comfyClass?.startsWith(prefix) && detail.output && detail.prompt_id) {
      node.properties[REMEMBERED] = { prompt: detail.prompt_id, node: String(detail.node) };
    }
  });
  // Otherwise ComfyUI keeps what has changed only from the next click on, and a reload may come before.
  for (const kind of ["execution_success", "execution_error", "execution_interrupted"]) {
    api.addEventListener(kind, () => {
      const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
      (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
    });
  }
}

/** Let a node show its last output again when its workflow is opened. show(output): what it does when it has run. */
export function attachShownAgain(node, show) {
  let shown = false;
  after(node, "onExecuted", () => (shown = true));
  after(node, "onConfigure", async () => {
    const { prompt, node: number } = node.properties?.[REMEMBERED] ?? {};
    if (typeof prompt !== "string") return;
    if (app.configuringGraph === false) {
      delete node.properties[REMEMBERED]; // a copy of a node, which has not run
      return;
    }
    const { output, kind } = (await outputsOf(prompt))[number] ?? {};
    // While a workflow ran, another one with the same ids may have been looked at.
    if (output && kind === node.comfyClass && node.graph && !shown) show(output);
  });
}

function outputsOf(prompt) {
  if (!answers.has(prompt)) {
    answers.set(prompt, ask(prompt));
    setTimeout(() => answers.delete(prompt), KEPT);
  }
  return answers.get(prompt);
}

async function ask(prompt) {
  try {
    const answer = await api.fetchApi(`/history/${encodeURIComponent(prompt)}`);
    const { outputs, prompt: run } = (await answer.json())[prompt] ?? {};
    return Object.fromEntries(Object.entries(outputs ?? {}).map(([id, output]) => [id, { output, kind: run?.[2]?.[id]?.class_type }]));
  } catch {
    return {}; // it was closed meanwhile: there is nothing to show
  }
}
