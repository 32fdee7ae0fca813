// What feeds a node: through links, reroutes and the walls of subgraphs, in both of ComfyUI's front ends.
import { app } from "../../../scripts/app.js";

const SUBGRAPH_INPUT = -10; // the id that ComfyUI gives a subgraph's own inputs
const DEEPEST = 64;
const NEVER = new Set([2, 4]); // modes: muted, bypassed

/** The node of an id such as "12", or "7:12" for node 12 in subgraph 7, with all that hold it, outermost first. */
export function pathTo(id) {
  let graph = app.rootGraph ?? app.graph;
  const nodes = [];
  for (const part of String(id).split(":")) {
    const node = graph?.getNodeById(/^\d+$/.test(part) ? Number(part) : part) ?? graph?.getNodeById(part);
    if (!node) break;
    nodes.push(node);
    graph = node.subgraph;
  }
  return nodes;
}

/**
 * What arrives at an input: { node, slot } of an output, { node, widget } of a setting outside the subgraph, or null
 * where nothing is connected or it cannot be told, as inside a subgraph that is used more than once.
 */
export function origin(node, input, depth = 0) {
  const link = linkOf(node.graph, node.inputs?.[input]?.link);
  if (!link || depth > DEEPEST) return null;
  if (Number(link.origin_id) === SUBGRAPH_INPUT) return ofHost(node.graph, link.origin_slot, depth + 1);
  return ofOutput(node.graph.getNodeById(link.origin_id), link.origin_slot, depth + 1);
}

/** The number of an input of that name, -1 without. */
export function inputNamed(node, name) {
  return node.inputs?.findIndex((each) => each.name === name || each.widget?.name === name) ?? -1;
}

/** Whether something is connected to it. */
export function isConnected(node, name) {
  return (node.inputs?.[inputNamed(node, name)]?.link ?? null) !== null;
}

/**
 * The text that a node will get: { text, widget, node, from }. text: null where nobody knows it before the workflow runs.
 * widget: where it is written, to be changed there, on `node`. from: title of another node that it comes from, or "".
 */
export function textOf(node, name, depth = 0) {
  if (!isConnected(node, name)) return written(node, find(node, name), "");
  const found = origin(node, inputNamed(node, name));
  const from = found?.node?.title ?? "";
  if (!found || depth > DEEPEST || NEVER.has(found.node.mode)) return { text: null, widget: null, node: null, from };
  if (found.widget) return written(found.node, found.widget, from);
  const widget = onlyText(found.node);
  if (!widget) return { text: null, widget: null, node: null, from };
  return { ...(isConnected(found.node, widget.name) ? textOf(found.node, widget.name, depth + 1) : written(found.node, widget, from)), from };
}

/** The first input of a subgraph's node that ends at a wanted input inside: { name, target }; null without. */
export function handedIn(host, wanted) {
  for (const [slot, { linkIds }] of (host.subgraph?.inputs ?? []).entries()) {
    for (const id of linkIds ?? []) {
      const link = linkOf(host.subgraph, id);
      const target = link && host.subgraph.getNodeById(link.target_id);
      const input = target?.inputs?.[link.target_slot];
      if (input && wanted(target, input)) return { name: host.inputs[slot]?.name, target };
    }
  }
  return null;
}

/** Write a text where `textOf` has found it. */
export function write({ node, widget }, text) {
  node.graph?.beforeChange?.();
  widget.value = text;
  widget.callback?.(text);
  node.graph?.afterChange?.();
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker; // so that it can be undone
  (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
  app.graph?.setDirtyCanvas?.(true, true);
}

/** A number that changes with every setting and connection that a node's result depends on. */
export function fingerprint(node) {
  return hash(JSON.stringify(settings(node, new Map())));
}

/** All graphs: the workflow's own and those of its subgraphs. */
function graphs() {
  const root = app.rootGraph ?? app.graph?.rootGraph ?? app.graph;
  return [root, ...(root?.subgraphs?.values?.() ?? [])];
}

/** The nodes that stand for a subgraph. */
function hostsOf(graph) {
  return graphs().flatMap((each) => (each?._nodes ?? []).filter((node) => node.subgraph && node.subgraph === graph));
}

function linkOf(graph, id) {
  if (id === null || id === undefined || !graph) return null;
  return graph.getLink?.(id) ?? graph.links?.get?.(id) ?? graph.links?.[id] ?? null;
}

function ofHost(graph, slot, depth) {
  const hosts = hostsOf(graph);
  if (hosts.length !== 1) return null;
  const [host] = hosts;
  const input = host.inputs?.[slot];
  if (!input) return null;
  if ((input.link ?? null) !== null) return origin(host, slot, depth);
  const widget = host.widgets?.find((each) => each.name === (input.widget?.name ?? input.name));
  return widget ? { node: host, widget } : null;
}

function ofOutput(node, slot, depth) {
  if (!node) return null;
  if (node.type === "Reroute") return origin(node, 0, depth);
  if (!node.subgraph) return { node, slot };
  const output = node.subgraph.outputs?.[slot] ?? node.subgraph.outputNode?.slots?.[slot];
  const link = linkOf(node.subgraph, output?.linkIds?.[0]);
  return link ? ofOutput(node.subgraph.getNodeById(link.origin_id), link.origin_slot, depth + 1) : { node, slot };
}

function find(node, name) {
  return node.widgets?.find((each) => each.name === name);
}

function written(node, widget, from) {
  const text = typeof widget?.value === "string" ? widget.value : null;
  return { text, widget: text === null ? null : widget, node, from };
}

/** The one text of a node that has no other setting and nothing else that could change it. */
function onlyText(node) {
  const own = find(node, "sentence");
  if (own) return own; // Prompt from Sentence hands on what is written in it
  const set = ownSettings(node);
  const others = node.inputs?.some((each) => !each.widget && (each.link ?? null) !== null);
  return set.length === 1 && typeof set[0].value === "string" && !others ? set[0] : null;
}

function ownSettings(node) {
  return (node.widgets ?? []).filter((each) => each.serialize !== false && each.options?.serialize !== false && each.type !== "button");
}

/** Whether ComfyUI itself gives it another value with every run, as it does with most seeds. */
function isDrawn(widget) {
  const control = widget.linkedWidgets?.find((each) => each.name?.includes("control_after_generate"));
  return control && control.value !== "fixed";
}

function settings(node, known) {
  if (known.has(node)) return known.get(node);
  known.set(node, known.size);
  const controls = new Set((node.widgets ?? []).flatMap((each) => each.linkedWidgets ?? []));
  const values = ownSettings(node)
    .filter((each) => !controls.has(each) && !isDrawn(each) && !isConnected(node, each.name))
    .map(({ name, value }) => [name, short(value)]);
  const inputs = (node.inputs ?? []).map((each, index) => {
    if ((each.link ?? null) === null) return null;
    const found = origin(node, index);
    if (!found) return [each.name];
    return found.widget ? [each.name, short(found.widget.value)] : [each.name, found.slot, settings(found.node, known)];
  });
  return [node.type, node.mode, values, inputs.filter(Boolean)];
}

/** Long texts and painted masks are not copied each time. */
function short(value) {
  return typeof value === "string" && value.length > 4000 ? [value.length, hash(value)] : value;
}

function hash(text) {
  let [one, two] = [0xdeadbeef, 0x41c6ce57];
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    one = Math.imul(one ^ code, 2654435761);
    two = Math.imul(two ^ code, 1597334677);
  }
  return (two >>> 0).toString(36) + (one >>> 0).toString(36);
}
