// Numbers whose 0 means something else say so: "auto (50)" stands in the place of the 0, with the value that it comes
// to once model and preset are known. The schema marks them, see `instead_of_zero` in nodes/widgets.py.
import { after } from "./node_hooks.js";
import { mark, t } from "./shared/language.js";
import { look } from "./shared/server.js";
import { number } from "./shared/words.js";

const MARK = "spatialalign_word";
const MODEL = "SPATIALALIGN_VIDEO_MODEL";
const WORDS = { auto: mark("auto"), off: mark("off"), all: mark("all") };
const SETTLED = 250; // milliseconds

const asked = new Map(); // query -> what the server says to it
const sheet = document.head.appendChild(document.createElement("style"));
const rules = new Map(); // node -> its part of the sheet

/** LiteGraph too folds away what the schema calls advanced, as Nodes 2.0 does, until a value of it was chosen. */
export function foldAdvanced(node) {
  const folded = (node.widgets ?? []).filter(({ options }) => options?.advanced);
  if (!folded.length) return;
  const usual = new Map(folded.map((widget) => [widget, widget.value]));
  for (const widget of folded) widget.advanced = true;
  after(node, "onConfigure", () => {
    if (folded.some((widget) => widget.value !== usual.get(widget))) node.showAdvanced = true;
  });
  // What is folded away takes no room; ComfyUI leaves it empty.
  node.getLayoutWidgets = () => (node.widgets ?? []).filter((widget) => !widget.hidden && (!widget.advanced || node.showAdvanced));
  node.setSize([node.size[0], node.computeSize()[1]]);
}

/** Let a node's widgets say what their 0 stands for. */
export function attachWords(node) {
  const widgets = marked(node);
  if (!widgets.length) return;
  const values = { video: {}, training: {} };
  const words = ({ word, of }) => {
    const [kind, name] = of.split(".");
    const known = values[kind]?.[name];
    return known === undefined ? t(WORDS[word]) : `${t(WORDS[word])} (${number(known)})`;
  };
  for (const { widget, said } of widgets) {
    const own = prototypeGetter(widget);
    Object.defineProperty(widget, "_displayValue", {
      configurable: true,
      get() {
        return this.computedDisabled || !stands(said, this.value) ? own?.call(this) : words(said);
      },
    });
  }
  const show = () => {
    rules.set(node, () => widgets.map(({ widget, said }) => rule(node, widget, said, words(said))).join("\n"));
    redraw();
    node.setDirtyCanvas?.(true, true);
  };
  let soon = null;
  const later = () => {
    clearTimeout(soon);
    soon = setTimeout(async () => {
      const found = await ask(modelOf(node), node.widgets?.find(({ name }) => name === "preset")?.value);
      Object.assign(values, found);
      show();
    }, SETTLED);
  };
  after(node, "onAdded", later); // before, it has no id
  after(node, "onConfigure", later);
  after(node, "onConnectionsChange", later);
  after(node, "onWidgetChanged", later);
  after(node, "onRemoved", () => {
    clearTimeout(soon);
    rules.delete(node);
    redraw();
  });
  node.spatialalignWords = later;
  show();
  later();
}

/** A model was chosen: all that show what is the model's own ask again. */
export function modelChosen() {
  for (const node of rules.keys()) node.spatialalignWords();
}

function marked(node) {
  const input = node.constructor.nodeData?.input ?? {};
  const specs = { ...input.required, ...input.optional };
  return (node.widgets ?? [])
    .map((widget) => ({ widget, said: specs[widget.name]?.[1]?.[MARK] }))
    .filter(({ said }) => said);
}

function stands({ at }, value) {
  return at < 0 ? value < 0 : value <= 0;
}

/** Nodes 2.0 draws the number in an input, and a plate above to drag it by: the plate gets the words. */
function rule(node, widget, { at }, words) {
  const which = at < 0 ? '[aria-valuenow^="-"]' : '[aria-valuenow="0"]';
  const input = `[data-node-id="${CSS.escape(String(node.id))}"] [aria-label="${CSS.escape(widget.name)}"] input${which}:not(:focus)`;
  const content = words.replace(/["\\]/g, "\\$&");
  return `${input}{color:transparent!important}${input}+div::after{content:"${content}";position:absolute;inset:0;display:flex;align-items:center;padding:0 4px;white-space:nowrap;overflow:hidden;opacity:.8}`;
}

function redraw() {
  sheet.textContent = [...rules.values()].map((each) => each()).join("\n");
}

/** How the widget's own class writes its value. */
function prototypeGetter(widget) {
  for (let each = Object.getPrototypeOf(widget); each; each = Object.getPrototypeOf(each)) {
    const found = Object.getOwnPropertyDescriptor(each, "_displayValue");
    if (found) return found.get;
  }
  return null;
}

/** The name that Load Video Model upstream of this node says; null where there is none. */
function modelOf(node) {
  const slot = node.inputs?.findIndex(({ type }) => type === MODEL) ?? -1;
  const loader = slot < 0 ? null : node.getInputNode?.(slot);
  return loader?.widgets?.find(({ name }) => name === "model")?.value ?? null;
}

function ask(model, preset) {
  // one that is still to be downloaded says nothing yet
  if (model?.startsWith("download ")) return Promise.resolve({ video: {}, training: {} });
  const query = { ...(model && { model }), ...(preset && { preset }) };
  const key = JSON.stringify(query);
  if (!asked.has(key)) {
    const answer = look("automatic", query).catch(() => {
      asked.delete(key); // such as a model that is still to be downloaded
      return { video: {}, training: {} };
    });
    asked.set(key, answer);
  }
  return asked.get(key);
}
