// The open workflow's nodes, those inside subgraphs too.
import { app } from "../../../scripts/app.js";

const PREFIX = "SpatialAlign_";

function* nodes(graph = app.rootGraph ?? app.graph, known = new Set()) {
  if (!graph || known.has(graph)) return;
  known.add(graph);
  for (const node of graph._nodes ?? []) {
    yield node;
    if (node.subgraph) yield* nodes(node.subgraph, known);
  }
}

/** Our open nodes whose run_folder is this run. */
export function nodesNaming(run) {
  return [...nodes()].filter((node) => node.type?.startsWith(PREFIX) && widgets(node).some(({ name, value }) => name === "run_folder" && value === run));
}

/** Other names for runs in our nodes, and for LoRAs in all nodes: { before: after }. */
export function changeNodes(runs, loras) {
  for (const node of nodes()) {
    for (const widget of widgets(node)) {
      const ours = widget.name === "run_folder" && node.type?.startsWith(PREFIX);
      const wanted = (ours ? runs : widget.name.includes("lora") || widget.name === "continue_from" ? loras : {})[widget.value];
      if (wanted === undefined) continue;
      widget.value = wanted;
      widget.callback?.(wanted);
    }
    node.setDirtyCanvas?.(true, true);
  }
}

function widgets(node) {
  return (node.widgets ?? []).filter((widget) => typeof widget.name === "string");
}
