// What is understood of one's own prompts in a Prompt Set, while they are typed or when a file is chosen; and its upload.
import { api } from "../../scripts/api.js";
import { after } from "./node_hooks.js";
import { addAsTall, grow } from "./node_text.js";
import { Reader } from "./read_text.js";
import { fill, html, say, shield } from "./shared/dom.js";
import { textOf } from "./shared/graph.js";
import { mark, retell, t } from "./shared/language.js";
import { unwatch, watch } from "./shared/watch.js";

const WIDGET = "spatialalign_prompts";
const OWN = "own_prompts";
const FILE = "csv_file";
const NONE = "none";
const LONG = 60; // characters of a sentence that are shown with its reason
const TALL = 140; // pixels that a list needs at least
const FILES = ".txt,.csv,.tsv";
const STATES = { doubt: mark("in doubt"), not_understood: mark("not understood"), repeated: mark("repeated") };
const NUMBERED = { line: mark("line {0}"), row: mark("row {0}"), entry: mark("entry {0}") };

/** Let a Prompt Set show where its prompts come from and what is understood of them. */
export function attachPromptList(node) {
  const panel = new PromptListPanel(node);
  addAsTall(node, WIDGET, panel.element, () => panel.height);
  panel.resized = () => grow(node);
  const own = node.widgets.find(({ name }) => name === OWN);
  const least = own?.options?.getMinHeight;
  if (own?.options) own.options.getMinHeight = () => (own.value ? TALL : (least?.() ?? 50));
  watch(node, () => panel.look());
  after(node, "onRemoved", () => {
    panel.close();
    unwatch(node);
  });
}

class PromptListPanel {
  constructor(node) {
    this.node = node;
    this.height = 0;
    this.uploads = 0;
    this.reader = new Reader((view, refusal) => this.show(view, refusal));
    this.source = html("p", { class: "sa-reading-source" });
    this.picker = html("input", { type: "file", accept: FILES, hidden: true, onchange: () => this.upload() });
    this.button = html("button", { type: "button", class: "sa-button", onclick: () => this.picker.click() }, t("Upload a .txt or .csv"));
    this.counts = html("p", { class: "sa-reading-counts", role: "status" });
    this.lines = html("ul", { class: "sa-reading-lines", tabindex: "0", "aria-label": t("Sentences that are set aside") });
    const head = html("div", { class: "sa-reading-head" }, this.source, this.button, this.picker);
    this.body = html("div", { class: "sa-reading-body" }, head, this.counts, this.lines);
    this.element = shield(html("section", { class: "spatialalign sa-reading", "aria-label": t("Your own prompts") }, this.body));
    this.watcher = new ResizeObserver(() => this.measure());
    this.watcher.observe(this.body);
    this.lines.hidden = this.counts.hidden = true;
  }

  close() {
    this.reader.forget();
    this.watcher.disconnect();
  }

  value(name) {
    return this.node.widgets?.find((each) => each.name === name)?.value;
  }

  /** Where the prompts come from now; asks where that is new. */
  look() {
    const { text, from } = textOf(this.node, OWN);
    const file = this.value(FILE);
    const division = { held_out: Number(this.value("held_out_prompts")) || 0, seed: Number(this.value("seed")) || 0 };
    if (text === null) return this.rest(t`The prompts come from “${from}” and are read when the workflow runs.`);
    if (text.trim()) {
      const chosen = file && file !== NONE;
      this.tell(chosen ? t`From own_prompts; csv_file and the word lists are not used.` : t`From own_prompts; the word lists are not used.`);
      this.reader.ask({ text, lines: true, ...division });
    } else if (file && file !== NONE) {
      this.tell(t`From ${file}; the word lists are not used.`);
      this.reader.ask({ file, uploads: this.uploads, ...division });
    } else {
      this.rest(t("From the word lists. To use your own prompts, write one sentence per line into own_prompts, or choose a file."));
    }
  }

  tell(words) {
    say(this.source, words);
  }

  rest(words) {
    this.tell(words);
    this.reader.forget();
    this.lines.hidden = this.counts.hidden = true;
    this.measure();
  }

  show(view, refusal) {
    this.counts.hidden = false;
    this.counts.classList.toggle("sa-reading-doubt", Boolean(refusal) || !view.understood);
    if (refusal) {
      say(this.counts, refusal.message);
      this.lines.hidden = true;
      return this.measure();
    }
    const { read, understood, doubt, not_understood, repeated } = view;
    const parts = [
      t`${read} read: ${understood} understood`,
      doubt ? t`${doubt} in doubt` : "",
      not_understood ? t`${not_understood} not understood` : "",
      repeated ? t`${repeated} repeated` : "",
    ];
    const division = understood ? t`${view.train} for training, ${view.held_out} held out` : t("No sentence can be used yet.");
    fill(this.counts, html("b", {}, parts.filter(Boolean).join(t(", "))), html("br"), division, view.notes.map((note) => html("span", { class: "sa-reading-note" }, retell(note))));
    fill(
      this.lines,
      view.entries.map((entry) => this.line(entry, view.unit)),
      view.more ? html("li", { class: "sa-quiet" }, t`and ${view.more} more`) : null,
    );
    this.lines.hidden = !view.entries.length;
    this.measure();
  }

  line({ number, state, text, reasons }, unit) {
    const aside = state in STATES;
    return html(
      "li",
      { class: aside ? "sa-reading-doubt" : "sa-quiet", title: text },
      html("b", {}, t(NUMBERED[unit], number)),
      text ? html("q", {}, text.length > LONG ? `${text.slice(0, LONG)}…` : text) : null,
      aside ? `${t(STATES[state])}: ` : "",
      reasons.map(retell).join(" "),
    );
  }

  async upload() {
    const [file] = this.picker.files;
    this.picker.value = "";
    if (!file) return;
    const form = new FormData();
    form.append("image", file, file.name); // ComfyUI's name for any file
    form.append("type", "input");
    this.button.disabled = true;
    try {
      const answer = await api.fetchApi("/upload/image", { method: "POST", body: form });
      if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
      this.choose((await answer.json()).name);
    } catch (error) {
      this.show(null, { message: t`The file could not be uploaded: ${error.message}` });
    } finally {
      this.button.disabled = false;
    }
  }

  choose(name) {
    const widget = this.node.widgets.find((each) => each.name === FILE);
    const { values } = widget.options;
    if (Array.isArray(values) && !values.includes(name)) widget.options.values = [...values, name];
    this.uploads += 1;
    widget.value = name;
    widget.callback?.(name);
    this.look();
  }

  measure() {
    const tall = this.body.offsetHeight;
    if (!tall) return; // it cannot be seen now
    if (tall === this.height) return;
    this.height = tall;
    this.resized?.();
  }
}
