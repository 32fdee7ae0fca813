// A part of the page that scrolls by itself, also with the keyboard.
import { html } from "./dom.js";

/** An element for a LongList to scroll in. */
export function scroller(label) {
  const element = html("div", { class: "sa-scroll", tabindex: "0", role: "region", "aria-label": label });
  element.dataset.captureWheel = "true"; // tells Nodes 2.0 that this scrolls, the canvas does not zoom
  element.addEventListener("wheel", (event) => element.scrollHeight > element.clientHeight && event.stopPropagation());
  return element;
}
