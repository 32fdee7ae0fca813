// What a node says in plain words after it has run.
import { html, say, shield } from "./shared/dom.js";
import { addStyle } from "./shared/style.js";

const WIDGET = "spatialalign_summary";

/** Show words on a node, below its widgets; none leave it as it is. */
export function showText(node, text) {
  if (!text) return;
  const widget = node.widgets?.find((each) => each.name === WIDGET) ?? create(node);
  say(widget.element.firstChild, text);
  grow(node);
}

/** A widget made of an element. It is no setting: it stays out of the workflow file. */
export function addElement(node, name, element, least) {
  addStyle();
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => least };
  const widget = node.addDOMWidget(name, name, element, options);
  widget.serialize = false;
  return widget;
}

/** The same for what has no end: in Nodes 2.0 a node is as tall as what is in it, so a frame has the height. */
export function addFramed(node, name, element, least) {
  return addElement(node, name, html("div", { class: "sa-frame" }, element), least);
}

/** Grow to hold the widgets, never shrink what the artist has made larger. */
export function grow(node) {
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  node.setDirtyCanvas?.(true, true);
}

function create(node) {
  const words = html("div", { class: "sa-summary", tabindex: "0", role: "region", "aria-label": "Result in words" });
  return addElement(node, WIDGET, shield(html("div", { class: "spatialalign" }, words)), 110);
}
