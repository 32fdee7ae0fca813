// Shows on a SpatialAlign node what it says in plain words after it has run.
import { app } from "../../scripts/app.js";

const PREFIX = "SpatialAlign_";
const WIDGET = "spatialalign_summary";

app.registerExtension({
  name: "SpatialAlign.Summary",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith(PREFIX)) return;
    const before = node.onExecuted;
    node.onExecuted = function (output) {
      before?.apply(this, arguments);
      const text = [output?.text ?? []].flat().join("\n");
      if (text) show(this, text);
    };
  },
});

function show(node, text) {
  const widget = node.widgets?.find((each) => each.name === WIDGET) ?? create(node);
  widget.element.textContent = text;
  // Grow to hold the words, never shrink what the artist has made larger.
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  node.setDirtyCanvas?.(true, true);
}

function create(node) {
  const element = document.createElement("div");
  Object.assign(element.style, {
    boxSizing: "border-box",
    padding: "6px 8px",
    overflowY: "auto",
    whiteSpace: "pre-wrap",
    font: "12px/1.45 sans-serif",
    color: "var(--input-text, #ddd)",
    background: "var(--comfy-input-bg, #222)",
    borderRadius: "6px",
    userSelect: "text",
  });
  const widget = node.addDOMWidget(WIDGET, "spatialalign_summary", element, {
    serialize: false, // results are no setting: they stay out of the workflow file
    hideOnZoom: false,
    getMinHeight: () => 110,
  });
  widget.serialize = false;
  return widget;
}
