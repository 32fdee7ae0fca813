// The training panel on a Train Spatial LoRA node: of the run that the node before it names.
import { after, hearAbout } from "./node_hooks.js";
import { addFramed, grow } from "./node_text.js";
import { hear, look } from "./shared/server.js";
import { isActive } from "./shared/work.js";
import { TrainingPanel } from "./training_panel.js";

const WIDGET = "spatialalign_training";
const REMEMBERED = "spatialalign_run"; // a property of the node, for runs whose name is not a widget's value
const LEAST = 700; // so much that the first pair of videos can be seen
const SETTLED = 200; // milliseconds

/** Let a trainer node show how its training goes, from when there is something to show. */
export function attachTraining(node) {
  hearAbout(node, "train", ({ run }) => {
    node.properties[REMEMBERED] = run;
    open(node, run);
  });
  // A stage before this one: the panel follows the run from its first video on.
  const deaf = hear(({ kind, run, ended }) => {
    if (kind === "begin" || ended || run === node.spatialalignTraining?.run) return; // before, it has no folder yet
    if (node.graph && run === runOf(node)) open(node, run);
  });
  // Links are known a moment later, and change many at a time.
  let soon = null;
  const later = () => {
    clearTimeout(soon);
    soon = setTimeout(() => openIfTrained(node), SETTLED);
  };
  after(node, "onConfigure", later);
  after(node, "onExecuted", later); // ComfyUI may have had its result already
  after(node, "onConnectionsChange", later);
  after(node, "onRemoved", () => {
    clearTimeout(soon);
    deaf();
    node.spatialalignTraining?.close();
    node.spatialalignTraining = null;
  });
}

async function openIfTrained(node) {
  const { runs } = await look("runs").catch(() => ({ runs: [] }));
  if (!node.graph) return; // removed meanwhile
  // The widget may name a run that is yet to be made; then the one that this node has worked in stays.
  const known = [runOf(node), node.properties?.[REMEMBERED]].map((name) => runs.find((run) => run.name === name)).find(Boolean);
  if (known && (node.spatialalignTraining || known.state !== "none" || isActive(known.work))) open(node, known.name);
}

function open(node, run) {
  if (!node.spatialalignTraining) {
    node.spatialalignTraining = new TrainingPanel();
    addFramed(node, WIDGET, node.spatialalignTraining.element, LEAST);
    grow(node);
  }
  node.spatialalignTraining.show(run);
}

/** The run folder that a node upstream of this one writes into; null where no widget says it. */
function runOf(node, seen = new Set()) {
  if (!node || seen.has(node)) return null;
  seen.add(node);
  const widget = node.widgets?.find((each) => each.name === "run_folder");
  if (widget?.value) return String(widget.value).trim();
  for (let slot = 0; slot < (node.inputs?.length ?? 0); slot += 1) {
    const input = node.inputs[slot];
    if (input.type !== "SPATIALALIGN_RUN" && input.type !== "*") continue;
    const run = runOf(node.getInputNode?.(slot), seen);
    if (run) return run;
  }
  return null;
}
