// What Evaluate found, on its node, from when it has run, also after the workflow was opened anew.
import { EvaluationPanel } from "./evaluation_panel.js";
import { after } from "./node_hooks.js";
import { addFramed, grow } from "./node_text.js";
import { look } from "./shared/server.js";

const WIDGET = "spatialalign_evaluation";
const REMEMBERED = "spatialalign_evaluation"; // a property of the node: { run }
const LEAST = 460;
const WIDEST = 460;

/** Let an Evaluate node show what it showed when the workflow was saved, where the run is still there. */
export function attachEvaluation(node) {
  after(node, "onConfigure", async () => {
    const run = node.properties?.[REMEMBERED]?.run;
    if (typeof run !== "string") return;
    const view = await look("evaluation", { run }).catch(() => null);
    if (view && node.graph) open(node, run, view);
  });
  after(node, "onRemoved", () => {
    node.spatialalignEvaluation?.close();
    node.spatialalignEvaluation = null;
  });
}

/** Show the evaluation that a node's output names; returns whether it names one. */
export function showEvaluation(node, output) {
  const chosen = output?.spatialalign_evaluation?.[0];
  if (!chosen) return false;
  node.properties[REMEMBERED] = { run: chosen.run };
  open(node, chosen.run, null, chosen.warnings);
  return true;
}

function open(node, run, view, warnings = "") {
  if (!node.spatialalignEvaluation) {
    node.spatialalignEvaluation = new EvaluationPanel();
    addFramed(node, WIDGET, node.spatialalignEvaluation.element, LEAST);
    if (node.size[0] < WIDEST) node.setSize([WIDEST, node.size[1]]);
    grow(node);
  }
  node.spatialalignEvaluation.show(run, view, warnings);
}
