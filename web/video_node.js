// The videos that a node made, on the node. Those of a run show again whenever the workflow is opened.
import { api } from "../../scripts/api.js";
import { after } from "./node_hooks.js";
import { addFramed, grow } from "./node_text.js";
import { VideoPanel } from "./video_panel.js";

const WIDGET = "spatialalign_videos";
const REMEMBERED = "spatialalign_videos"; // a property of the node: { run, split, seeds, prompt }
const LEAST = 230;

/** Let a node show the videos of its run again. */
export function attachVideos(node) {
  after(node, "onConfigure", () => {
    const chosen = node.properties?.[REMEMBERED];
    if (typeof chosen?.run === "string") open(node, chosen);
  });
}

/** Show the videos that a node's output names; nodes without any stay as they are. */
export function showVideos(node, output) {
  const chosen = output?.spatialalign_videos?.[0];
  if (!chosen) return;
  if (chosen.run) node.properties[REMEMBERED] = chosen;
  open(node, chosen);
}

function open(node, chosen) {
  if (!node.spatialalignVideos) {
    const panel = new VideoPanel();
    node.spatialalignVideos = panel;
    addFramed(node, WIDGET, panel.element, LEAST);
    grow(node);
    // They are scored later, by another node.
    const again = () => panel.chosen.run && panel.show({ ...panel.chosen });
    api.addEventListener("execution_success", again);
    after(node, "onRemoved", () => {
      api.removeEventListener("execution_success", again);
      panel.close();
      node.spatialalignVideos = null;
    });
  }
  node.spatialalignVideos.show(chosen);
}
