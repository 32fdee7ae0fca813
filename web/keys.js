// The run browser's keys: wherever the focus is in it, but not while somebody types.
import { html } from "./shared/dom.js";
import { ask } from "./shared/form.js";
import { mark, t } from "./shared/language.js";

const KEYS = [
  [["K"], mark("keep the pair")],
  [["D"], mark("drop the pair")],
  [["A"], mark("as scored")],
  [["S"], mark("swap the two videos")],
  [["\u2190", "\u2192"], mark("the video before, the next video")],
  [["\u2191", "\u2193"], mark("the prompt before, the next prompt")],
  [[mark("Space")], mark("play or pause")],
  [["/"], mark("find in prompts")],
  [["?"], mark("this list")],
  [[mark("Esc")], mark("close what is on top")],
];

/** Show them. */
export function showKeys() {
  const rows = KEYS.map(([keys, words]) => html("div", {}, html("dt", {}, keys.map((key) => html("kbd", {}, key.length > 1 ? t(key) : key))), html("dd", {}, t(words))));
  return ask({ title: t("Keys"), body: html("dl", { class: "sa-keys" }, rows) });
}

/**
 * Listen while a dialog is open. does: { key: () => ... } by event.key, letters small; a function that answers false has
 * left the key alone. Returns a function that ends it.
 */
export function listen(dialog, does) {
  const inside = (event) => act(event, does);
  // Focus falls to the page's body when the focused element leaves the page: ComfyUI must not hear the key then.
  const outside = (event) => {
    const on = [...document.querySelectorAll("dialog.spatialalign[open]")];
    if (!on.length || event.target.closest?.("dialog")) return;
    event.stopImmediatePropagation();
    if (event.type === "keydown" && on.length === 1) act(event, does);
  };
  const quiet = (event) => {
    event.stopPropagation();
    // Space has played or paused; Firefox would press the tile too.
    if (event.key === " " && event.target.matches?.(".sa-tile[aria-pressed=true]")) event.preventDefault();
  };
  dialog.addEventListener("keydown", inside);
  dialog.addEventListener("keyup", quiet);
  dialog.addEventListener("keypress", quiet);
  for (const kind of ["keydown", "keyup", "keypress"]) window.addEventListener(kind, outside, true);
  return () => {
    for (const kind of ["keydown", "keyup", "keypress"]) window.removeEventListener(kind, outside, true);
  };
}

function act(event, does) {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const own = /^(INPUT|SELECT)$/.test(event.target.tagName) && (key.startsWith("Arrow") || key === " ");
  // Space presses the button that has the focus, as everywhere; only on a video's tile it plays, see SampleGrid.
  const presses = key === " " && /^(BUTTON|A)$/.test(event.target.tagName) && !event.target.closest(".sa-tile[aria-pressed=true]");
  if (own || presses || !does[key] || does[key](event) === false) return;
  event.preventDefault();
}

function typing(target) {
  const text = target.tagName === "INPUT" && !/^(range|checkbox|radio|button)$/.test(target.type);
  return text || target.isContentEditable || target.tagName === "TEXTAREA";
}
