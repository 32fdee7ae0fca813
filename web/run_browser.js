// Every run of the output folder: its curves, its videos by score, its pairs to keep or drop, its comparisons.
import { ComparisonPanel } from "./comparison_panel.js";
import { listen, showKeys } from "./keys.js";
import { PairPanel } from "./pair_panel.js";
import { RunActions } from "./run_actions.js";
import { RunList } from "./run_list.js";
import { SampleGrid } from "./sample_grid.js";
import { fill, html, say, shield } from "./shared/dom.js";
import { mark, retell, t } from "./shared/language.js";
import { change, hear, look } from "./shared/server.js";
import { addStyle } from "./shared/style.js";

const AFTER_RULING = 700; // milliseconds; an artist who goes through pairs quickly waits for nothing
const SHOWN = [
  ["pairs", mark("prompts with pairs")],
  ["train", mark("training prompts")],
  ["held_out", mark("held-out prompts")],
  ["", mark("all prompts")],
];

let open = null;

/** Open the browser on a run, or on the newest; chosen(run) is told when the artist chooses another. */
export function openBrowser(run, chosen = () => {}) {
  open?.close();
  open = new RunBrowser(chosen);
  open.choose(run);
}

class RunBrowser {
  constructor(chosen) {
    addStyle();
    this.chosen = chosen;
    this.run = null;
    this.view = null;
    this.actions = new RunActions({ moved: (run) => this.moved(run), changed: () => this.runs.load(), tell: (...said) => this.tell(...said) });
    this.runs = new RunList({ chosen: (run) => this.choose(run), told: (known) => this.actions.show(known) });
    this.grid = new SampleGrid({ chosen: (prompt, sample) => this.open(prompt, sample) });
    this.pairs = new PairPanel({ ruled: () => this.ruled(), refused: (error) => this.refused(error) });
    this.comparison = new ComparisonPanel();
    this.title = html("h2", { class: "sa-browser-title" });
    this.sets = this.select(t("Which videos"), () => this.load());
    this.shown = this.select(t("Which prompts"), () => this.filter());
    fill(this.shown, SHOWN.map(([value, words]) => html("option", { value }, t(words))));
    this.search = html("input", { type: "search", class: "sa-select", placeholder: t("Find in prompts"), "aria-label": t("Find in prompts"), title: t("Find in prompts (/)") });
    this.search.addEventListener("input", () => this.filter());
    this.compared = this.select(t("Comparisons"), () => this.compare(this.compared.value));
    this.export = html("button", { type: "button", class: "sa-button", onclick: () => this.exportAgain() }, t("Export pairs again"));
    this.count = html("span", { class: "sa-quiet" });
    this.message = html("p", { class: "sa-message", role: "status" });
    const keys = html("button", { type: "button", class: "sa-button", title: t("Keys (?)"), "aria-label": t("Keys"), onclick: showKeys }, "?");
    const close = html("button", { type: "button", class: "sa-button", title: t("Close (Esc)"), onclick: () => this.close() }, t("Close"));
    this.detail = html("div", { class: "sa-browser-detail" }, this.pairs.element, this.comparison.element);
    this.comparison.element.hidden = true;
    const tools = html("div", { class: "sa-browser-tools" }, this.sets, this.shown, this.search, this.compared, this.count, this.export);
    this.element = html(
      "dialog",
      { class: "spatialalign sa-browser", "aria-label": t("SpatialAlign: runs, videos and pairs") },
      html("div", { class: "sa-browser-head" }, html("div", { class: "sa-browser-top" }, this.title, keys, close), this.actions.element),
      html("div", { class: "sa-browser-runs" }, this.runs.element),
      html("div", { class: "sa-browser-middle" }, tools, this.message, this.grid.element),
      this.detail,
    );
    this.element.addEventListener("close", () => this.end());
    this.unlisten = listen(this.element, this.keys());
    shield(this.element);
    document.body.append(this.element);
    this.element.showModal();
    this.deaf = hear(({ run, ended, video }) => run === this.run && (ended || video) && this.soon(3000));
    this.runs.load();
  }

  close() {
    this.element.close();
  }

  end() {
    if (open === this) open = null;
    clearTimeout(this.timer);
    this.deaf();
    this.unlisten();
    for (const part of [this.runs, this.grid, this.pairs, this.comparison]) part.close();
    this.element.remove();
  }

  select(label, changed) {
    return html("select", { class: "sa-select", "aria-label": label, onchange: changed });
  }

  /** By key; each answers false where the key is not meant. */
  keys() {
    const press = (letter) => () => this.press(letter);
    const step = (along, down) => () => this.grid.step(along, down);
    return {
      k: press("k"),
      d: press("d"),
      a: press("a"),
      s: press("s"),
      ArrowLeft: step(-1, 0),
      ArrowRight: step(1, 0),
      ArrowUp: step(0, -1),
      ArrowDown: step(0, 1),
      " ": () => (this.comparison.element.hidden ? this.pairs : this.comparison).players.toggle(),
      "/": () => this.search.focus(),
      "?": () => void showKeys(),
    };
  }

  /** K, D, A or S for the pair that is open. */
  press(letter) {
    if (this.pairs.press(letter)) return;
    const open = this.pairs.pair !== null;
    this.tell(open ? t("This pair cannot be decided on: both need a score, and be videos of a training prompt.") : t("Choose a video first: press one, or use the arrow keys."));
  }

  /** The run has another name, or is gone. */
  async moved(run) {
    this.run = null;
    await this.runs.load();
    await this.choose(run ?? this.runs.all[0]?.name ?? null);
    if (run === null && this.run === null) {
      this.view = null;
      this.pairs.show(null);
      say(this.title, "");
      this.filter();
      this.drawTools();
    }
  }

  async choose(run) {
    if (run === null || run === undefined) {
      run = (await look("runs").catch(() => ({ runs: [] }))).runs[0]?.name ?? null;
      if (run === null) return this.tell(t("No runs yet. Run the Quickstart template; its results appear here."));
    }
    if (run === this.run) return this.load();
    this.run = run;
    this.view = null;
    this.told = false;
    this.runs.mark(run);
    this.chosen(run);
    say(this.title, run);
    fill(this.sets);
    this.compared.value = "";
    this.compare("");
    this.pairs.show(null);
    this.tell("");
    this.filter(); // nothing of the run before stays in view
    await this.load();
  }

  refused({ message, status }) {
    this.tell(message, true);
    if (status === 404) this.load(); // the whole run may be gone
  }

  ruled() {
    this.told = false; // what the last export said
    this.soon();
  }

  /** Look again in a while. */
  soon(wait = AFTER_RULING) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), wait);
  }

  async load() {
    const run = this.run;
    let view;
    try {
      view = await look("samples", { run, set: this.sets.value || "base" });
      this.compares = (await look("comparisons", { run })).comparisons;
    } catch (refused) {
      if (run !== this.run || !this.element.isConnected) return;
      this.view = null;
      this.tell(refused.message, true);
      this.filter();
      if (refused.status === 404) this.pairs.show(null);
      this.drawTools();
      return this.runs.load();
    }
    if (run !== this.run || !this.element.isConnected) return;
    const first = this.view === null;
    this.view = view;
    if (this.failed) this.tell("");
    if (first) this.shown.value = view.prompts.some((prompt) => prompt.pairs) ? "pairs" : "";
    this.drawTools();
    this.filter();
  }

  drawTools() {
    const { view } = this;
    const kept = this.sets.value;
    fill(this.sets, (view?.sets ?? []).map((set) => html("option", { value: set }, setWords(set))));
    if (view) this.sets.value = view.sets.includes(kept) ? kept : view.set;
    const before = this.compared.value;
    fill(
      this.compared,
      html("option", { value: "" }, t("pairs")),
      (view ? this.compares : []).map(({ name, a, b }) => html("option", { value: name }, t`${retell(a)} against ${retell(b)}`)),
    );
    this.compared.value = before;
    this.compared.hidden = !view || !this.compares.length;
    this.export.disabled = !view?.export || this.exporting;
    this.export.title = view?.export
      ? t("Export the pairs again, with your decisions")
      : t("Queue Export Pairs once first: it encodes the prompts");
    this.export.classList.toggle("sa-wanted", Boolean(view?.stale));
    if (!this.failed && !this.exporting && !this.told) say(this.message, view?.stale ? t("Pairs were kept or dropped by hand since the last export.") : "");
  }

  filter() {
    const words = this.search.value.trim().toLowerCase();
    const which = this.shown.value;
    const prompts = (this.view?.prompts ?? []).filter(
      (prompt) =>
        prompt.samples.length &&
        (which === "" || (which === "pairs" ? prompt.pairs || prompt.dropped : prompt.split === which)) &&
        (!words || prompt.text.toLowerCase().includes(words) || prompt.id.toLowerCase().includes(words)),
    );
    const videos = prompts.reduce((sum, prompt) => sum + prompt.samples.length, 0);
    say(this.count, !this.view ? "" : videos ? counted(videos, prompts.length) : t("No videos here"));
    this.grid.show(this.view && { run: this.run, set: this.view.set, prompts });
    if (this.pairs.prompt) {
      const prompt = this.view?.prompts.find(({ id }) => id === this.pairs.prompt.id);
      if (prompt) this.pairs.prompt = prompt;
    }
  }

  open(prompt, sample) {
    this.compared.value = "";
    this.compare("");
    this.tell(""); // as that a video must be chosen first
    this.grid.mark(prompt.id, sample.seed);
    this.pairs.show({ run: this.run, set: this.view.set, prompt, seed: sample.seed });
  }

  compare(name) {
    this.comparison.show(name ? { run: this.run, name } : null);
    this.comparison.element.hidden = !name;
    this.pairs.element.hidden = Boolean(name);
    if (name) this.pairs.show(null);
  }

  async exportAgain() {
    this.exporting = true;
    this.export.disabled = true;
    this.tell(t("Exporting…"));
    try {
      const { message } = await change("export", { run: this.run });
      this.exporting = false;
      this.tell(retell(message));
      this.told = true;
      await this.load();
    } catch (refused) {
      this.exporting = false;
      this.tell(refused.message, true);
      this.drawTools();
    }
  }

  tell(message, failed = false) {
    this.failed = failed;
    say(this.message, message);
    this.message.classList.toggle("sa-error", failed);
  }
}

function counted(videos, prompts) {
  const some = videos === 1 ? t("1 video") : t`${videos} videos`;
  return t`${some} of ${prompts === 1 ? t("1 prompt") : t`${prompts} prompts`}`;
}

function setWords(set) {
  if (set === "base") return t("videos without LoRA");
  if (set === "aligned") return t("videos with the LoRA");
  return set.startsWith("step-") ? t`step ${Number(set.slice(5))}` : set;
}
