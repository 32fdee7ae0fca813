// The comparison on a Compare node, from when it has run, also after the page was loaded anew.
import { ComparisonPanel } from "./comparison_panel.js";
import { after } from "./node_hooks.js";
import { addFramed, grow } from "./node_text.js";
import { html, shield } from "./shared/dom.js";

const WIDGET = "spatialalign_comparison";
const REMEMBERED = "spatialalign_comparison"; // a property of the node: { run, name }
const LEAST = 560;
const WIDEST = 560;

/** Let a Compare node show what it showed when the workflow was saved. */
export function attachComparison(node) {
  after(node, "onConfigure", () => {
    const { run, name } = node.properties?.[REMEMBERED] ?? {};
    if (typeof run === "string" && typeof name === "string") open(node, { run, name });
  });
  after(node, "onRemoved", () => {
    node.spatialalignComparison?.close();
    node.spatialalignComparison = null;
  });
}

/** Show the comparison that a node's output names; returns whether it names one. */
export function showComparison(node, output) {
  const chosen = output?.spatialalign_comparison?.[0];
  if (!chosen) return false;
  node.properties[REMEMBERED] = chosen;
  open(node, chosen);
  return true;
}

function open(node, chosen) {
  if (!node.spatialalignComparison) {
    node.spatialalignComparison = new ComparisonPanel();
    const panel = shield(html("div", { class: "spatialalign sa-comparison-node" }, node.spatialalignComparison.element));
    addFramed(node, WIDGET, panel, LEAST);
    if (node.size[0] < WIDEST) node.setSize([WIDEST, node.size[1]]);
    grow(node);
  }
  node.spatialalignComparison.show(chosen);
}
