// Settings and connections that are watched: whatever changes them, typing, undo, a paste or another pack's node.

const EVERY = 250; // milliseconds
const watched = new Map(); // node -> functions
let timer = null;

/** Call a function a few times a second while the node is in a workflow that can be seen. */
export function watch(node, work) {
  watched.set(node, [...(watched.get(node) ?? []), work]);
  timer ??= setInterval(turn, EVERY);
}

/** No longer call anything for this node. */
export function unwatch(node) {
  watched.delete(node);
  if (watched.size) return;
  clearInterval(timer);
  timer = null;
}

/** All nodes that are watched. */
export function watchedNodes() {
  return [...watched.keys()];
}

function turn() {
  if (document.visibilityState === "hidden") return;
  for (const [node, works] of watched) {
    if (!node.graph) continue; // not yet in a workflow
    for (const work of works) work();
  }
}
