// What a node says in plain words after it has run.
import { html, say, shield } from "./shared/dom.js";
import { t } from "./shared/language.js";
import { addStyle } from "./shared/style.js";

const WIDGET = "spatialalign_summary";
const MOST = 260; // pixels of words; more of them scroll
const AIR = 16; // that ComfyUI leaves around an element, without the 4 between two of them
const EDGES = 12; // of a box, above and below its words

/** Take away how far the work was, which ComfyUI leaves on a node that has ended. */
export function dropProgress(node) {
  const widget = node.widgets?.find(({ name }) => name === "$$node-text-preview");
  if (widget) node.removeWidget?.(widget);
}

/** Show words on a node, below its widgets, in a box as tall as they are; none leave it as it is. */
export function showText(node, text) {
  if (!text) return;
  const widget = node.widgets?.find((each) => each.name === WIDGET) ?? create(node);
  say(widget.words, text);
  widget.fit();
}

/** A widget made of an element. It is no setting: it stays out of the workflow file. */
export function addElement(node, name, element, least) {
  addStyle();
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => least };
  const widget = node.addDOMWidget(name, name, element, options);
  widget.serialize = false;
  // Words stand below all else, in whichever order they came.
  const words = node.widgets.find((each) => each.name === WIDGET);
  if (words && words !== node.widgets.at(-1)) node.widgets = [...node.widgets.filter((each) => each !== words), words];
  return widget;
}

/** The same for what has no end: in Nodes 2.0 a node is as tall as what is in it, so a frame has the height. */
export function addFramed(node, name, element, least) {
  return addElement(node, name, html("div", { class: "sa-frame", style: `--sa-least: ${least}px` }, element), least);
}

/** A widget that is as tall as what is in it and takes no more where there is room. height(): of that, in pixels; 0 hides it. */
export function addAsTall(node, name, element, height) {
  const widget = addElement(node, name, element, 0);
  widget.computeLayoutSize = undefined; // it would share what room is left
  widget.computeSize = (width) => [width ?? 0, height() ? height() + AIR : -4];
  return widget;
}

/** The same for a box of words, whose height is measured; what is more than MOST scrolls. resized(): it has another height. */
export function addFitting(node, name, element, words, resized) {
  let height = 28;
  const widget = addAsTall(node, name, element, () => height);
  widget.fit = () => {
    // Nothing while it cannot be seen: then the last height stays.
    const tall = words.offsetHeight && Math.min(MOST, words.offsetHeight + EDGES);
    if (!tall || tall === height) return;
    height = tall;
    resized();
  };
  new ResizeObserver(widget.fit).observe(words);
  return widget;
}

/** Grow to hold the widgets, never shrink what the artist has made larger. */
export function grow(node) {
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  node.setDirtyCanvas?.(true, true);
}

function create(node) {
  const words = html("div", {});
  const box = html("div", { class: "sa-summary", tabindex: "0", role: "region", "aria-label": t("Result in words") }, words);
  const widget = addFitting(node, WIDGET, shield(html("div", { class: "spatialalign" }, box)), words, () => grow(node));
  widget.words = words;
  return widget;
}
