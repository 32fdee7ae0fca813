// What our nodes do when ComfyUI does something with them, beside what it does itself.
import { hear } from "./shared/server.js";

/** Work that is done after one of the node's own methods; `this` is the node, and the method's answer stays. */
export function after(node, method, work) {
  const own = node[method];
  node[method] = function () {
    const result = own?.apply(this, arguments);
    work.apply(this, arguments);
    return result;
  };
}

/** Hear the pack's events of one kind about this node and a run, until the node is removed. */
export function hearAbout(node, kind, listener) {
  const deaf = hear((event) => {
    if (event.kind === kind && event.run && String(event.node) === String(node.id)) listener(event);
  });
  after(node, "onRemoved", deaf);
}
