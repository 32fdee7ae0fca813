// What is understood of the sentence in a node, while it is typed: subject, object and movement, each to be changed.
import { after } from "./node_hooks.js";
import { addAsTall, grow } from "./node_text.js";
import { Reader } from "./read_text.js";
import { fill, html, shield } from "./shared/dom.js";
import { handedIn, textOf, write } from "./shared/graph.js";
import { mark, retell, t } from "./shared/language.js";
import { change } from "./shared/server.js";
import { unwatch, watch } from "./shared/watch.js";

const WIDGET = "spatialalign_reading";
const SENTENCE = "sentence";
const SPRITES = "SpatialAlign_SpriteClip";
const MAY_BE_EMPTY = new Set(["SpatialAlign_DetectTrack", "SpatialAlign_DrawTracks", "SpatialAlign_CollectSample"]);
const PLACES = { L: mark("left of"), R: mark("right of"), T: mark("on top of") };
const UNSCORED = { F: mark("in front of"), B: mark("behind"), U: mark("under"), I: mark("inside") };
const PARTS = [
  { name: "subject", title: mark("subject"), about: mark("What moves. Choose or write another noun.") },
  { name: "object", title: mark("object"), about: mark("What the movement is seen from. Choose or write another noun.") },
  { name: "initial", title: mark("from"), about: mark("Where the subject is first") },
  { name: "final", title: mark("to"), about: mark("Where the subject is at the end") },
];
let numbers = 0;

/** Let a node with a sentence show what is understood of it. */
export function attachReading(node) {
  if (!node.widgets?.some(({ name }) => name === SENTENCE)) return;
  const panel = new ReadingPanel(node, SENTENCE, node.comfyClass);
  placeBehind(node, addAsTall(node, WIDGET, panel.element, () => panel.height), SENTENCE);
  panel.resized = () => grow(node);
  watch(node, () => panel.look());
  after(node, "onRemoved", () => panel.close());
  after(node, "onRemoved", () => unwatch(node));
}

/** The same on a node that stands for a subgraph, where the sentence of one of our nodes can be written on it. */
export function attachHostReading(node, ours) {
  let panel = null;
  watch(node, () => {
    panel ??= hostPanel(node, ours);
    panel?.look();
  });
  after(node, "onRemoved", () => panel?.close());
  after(node, "onRemoved", () => unwatch(node));
}

function hostPanel(node, ours) {
  const found = handedIn(node, (target, input) => input.name === SENTENCE && ours(target));
  if (!found) return null;
  const panel = new ReadingPanel(node, found.name, found.target.comfyClass);
  addAsTall(node, WIDGET, panel.element, () => panel.height);
  panel.resized = () => grow(node);
  return panel;
}

/** Put an element's widget right behind another one. */
export function placeBehind(node, widget, name) {
  node.widgets.splice(node.widgets.indexOf(widget), 1);
  node.widgets.splice(node.widgets.findIndex((each) => each.name === name) + 1, 0, widget);
  // ComfyUI saves values by place and leaves a hole where a widget is none of them; it reads them without.
  after(node, "onSerialize", (saved) => {
    if (Array.isArray(saved.widgets_values)) {
      saved.widgets_values = node.widgets.flatMap((each, index) => (each.serialize === false ? [] : [saved.widgets_values[index]]));
    }
  });
}

class ReadingPanel {
  /** name: of the input on `node` that is the sentence; kind: class of the node that reads it. */
  constructor(node, name, kind) {
    Object.assign(this, { node, name, kind });
    this.height = 0;
    this.draft = {};
    this.reader = new Reader((view, refusal) => this.show(view, refusal));
    this.fields = Object.fromEntries(PARTS.map((part) => [part.name, this.field(part)]));
    this.line = html(
      "div",
      { class: "sa-reading-parts" },
      PARTS.map(({ name, title }) => html("label", { class: "sa-reading-part" }, html("span", { class: "sa-quiet" }, t(title)), this.fields[name])),
    );
    this.words = html("div", { class: "sa-reading-words", role: "status" });
    this.body = html("div", { class: "sa-reading-body" }, this.line, this.words);
    this.element = shield(html("section", { class: "spatialalign sa-reading", "aria-label": t("What is understood") }, this.body));
    this.element.hidden = true;
    this.watcher = new ResizeObserver(() => this.measure());
    this.watcher.observe(this.body);
  }

  close() {
    this.reader.forget();
    this.watcher.disconnect();
  }

  field({ name, about }) {
    const choose = (event) => this.choose(name, event.target.value);
    if (name === "initial" || name === "final") {
      return html("select", { class: "sa-select", title: t(about), "aria-label": t(about), onchange: choose });
    }
    const list = html("datalist", { id: `spatialalign-nouns-${(numbers += 1)}` });
    const field = html("input", { class: "sa-select sa-noun", type: "text", list: list.id, size: 5, title: t(about), "aria-label": t(about), onchange: choose });
    field.addEventListener("input", () => (field.size = Math.max(4, field.value.length + 1)));
    field.choices = list;
    return field;
  }

  /** What the node will get now; asks where it is new. */
  look() {
    const source = textOf(this.node, this.name);
    const silent = this.isSilent(source);
    this.element.hidden = silent;
    if (silent) {
      this.reader.forget();
      this.measure();
      return;
    }
    this.source = source;
    if (source.text === null) {
      this.reader.forget();
      if (this.unknown !== source.from) this.show(null, null);
      this.unknown = source.from;
      return;
    }
    this.unknown = null;
    if (this.reader.ask(this.question(source.text)) && !this.busy) this.draft = {};
  }

  isSilent({ text }) {
    const replaced = this.node.inputs?.some(({ name, link }) => name === "prompts" && (link ?? null) !== null);
    return Boolean(replaced) || (MAY_BE_EMPTY.has(this.kind) && text !== null && !text.trim());
  }

  show(view, refusal) {
    this.view = view;
    const { from = "" } = this.source ?? {};
    this.line.hidden = !view;
    if (view) this.showParts(view);
    fill(
      this.words,
      from ? html("p", { class: "sa-quiet" }, view ? t`read from “${from}”` : "") : null,
      !view && !refusal ? html("p", { class: "sa-quiet" }, t`The sentence comes from “${from}” and is read when the workflow runs.`) : null,
      refusal ? this.doubt(refusal.message) : null,
      (view?.doubts ?? []).map((doubt) => this.doubt(retell(doubt))),
      view?.rewritable && this.source?.widget
        ? html("button", { type: "button", class: "sa-button", onclick: () => this.rewriteAll() }, t("Write the sentence from these parts"))
        : null,
      (view?.remarks ?? []).map((remark) => html("p", { class: "sa-quiet" }, retell(remark))),
    );
    this.measure();
  }

  showParts(view) {
    for (const { name } of PARTS) {
      const field = this.fields[name];
      const value = this.draft[name] ?? view[name];
      if (field.choices) {
        if (document.activeElement !== field) field.value = value;
        field.size = Math.max(4, field.value.length + 1);
        field.placeholder = "?";
        fill(field.choices, view.choices[name].map((noun) => html("option", { value: noun })));
        if (!field.choices.isConnected) field.after(field.choices);
      } else {
        const known = { ...(value in PLACES ? {} : { [value]: UNSCORED[value] ?? "?" }), ...PLACES };
        fill(field, Object.entries(known).map(([code, words]) => html("option", { value: code, selected: code === value }, t(words))));
        field.value = value;
      }
      const doubtful = view.in_doubt.includes(name) && !this.draft[name];
      field.parentElement.classList.toggle("sa-doubtful", doubtful);
      field.setAttribute("aria-invalid", String(doubtful));
      field.disabled = !this.source?.widget;
    }
  }

  doubt(words) {
    return html("p", { class: "sa-reading-doubt" }, html("b", { "aria-hidden": "true" }, "? "), words);
  }

  choose(name, value) {
    const known = this.draft[name] ?? this.view?.[name];
    if (!value.trim() || value === known) return;
    this.draft = { ...this.draft, [name]: value };
    this.rewrite();
  }

  rewriteAll() {
    const { subject, object, initial, final } = this.view;
    this.draft = { subject, object, initial, final };
    this.rewrite();
  }

  /** Write another sentence that says so; until all parts are known, what was chosen only stands here. */
  async rewrite() {
    if (this.busy) return; // what is chosen meanwhile comes next
    this.busy = true;
    try {
      while (Object.keys(this.draft).length) await this.writeDraft();
    } catch (refusal) {
      this.show(this.view, refusal);
    } finally {
      this.busy = false;
    }
  }

  async writeDraft() {
    const { source, draft } = this;
    const answer = await change("read", { ...this.question(source.text), change: draft });
    if (textOf(this.node, this.name).text !== source.text) {
      this.draft = {}; // typed meanwhile
      return;
    }
    this.draft = Object.fromEntries(Object.entries(this.draft).filter(([name, value]) => value !== draft[name]));
    write(source, answer.text);
    this.source = { ...source, text: answer.text };
    this.reader.answered(this.question(answer.text));
    this.show(answer, null);
  }

  question(text) {
    return { text, world: this.kind === SPRITES ? "sprites" : "" };
  }

  measure() {
    const tall = this.element.hidden ? 0 : this.body.offsetHeight;
    if (!this.element.hidden && !tall) return; // it cannot be seen now
    if (tall === this.height) return;
    this.height = tall;
    this.resized?.();
  }
}
