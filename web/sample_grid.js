// The videos of every prompt as small strips of frames, the best first; only those in view are in the page.
import { html } from "./shared/dom.js";
import { mark, retell, t } from "./shared/language.js";
import { LongList } from "./shared/long_list.js";
import { scroller } from "./shared/scroller.js";
import { stripUrl } from "./shared/server.js";
import { score } from "./shared/words.js";

const TILE = 210; // pixels that a tile has at least, with the gap
const WIDEST = 380;
const AROUND = 58; // pixels of a row that are no picture: the sentence above, the caption below, the gaps
const OPENING = 120; // milliseconds that the keys must rest before the video is played
const SETTLED = 90; // milliseconds that a row must be in the page before its pictures are fetched
const SHAPE = 4.5; // width by height of three frames of the usual shape
const ROLES = { winner: { words: mark("winner"), kind: "sa-good" }, loser: { words: mark("loser"), kind: "sa-poor" } };

/** show({ run, set, prompts }), see the route "samples". chosen(prompt, sample): one was pressed. */
export class SampleGrid {
  constructor({ chosen }) {
    this.chosen = chosen;
    this.marked = "";
    this.element = scroller(t("Videos by prompt, best score first"));
    this.list = new LongList({
      rowHeight: AROUND + 50,
      scroller: this.element,
      label: t("Videos by prompt"),
      render: (row) => this.row(row),
      release: (element) => element.querySelectorAll("img").forEach((image) => image.removeAttribute("src")),
    });
    this.element.append(this.list.element);
    this.columns = 0;
    this.room = 0;
    this.watcher = new ResizeObserver(() => this.fit());
    this.watcher.observe(this.element);
  }

  close() {
    clearTimeout(this.opening);
    this.watcher.disconnect();
    this.list.close();
  }

  show(view) {
    if (view?.run !== this.view?.run || view?.set !== this.view?.set) this.element.scrollTop = 0;
    this.view = view;
    this.lay();
  }

  /** Which video is open. */
  mark(prompt, seed) {
    this.marked = name(prompt, seed);
    for (const tile of this.element.querySelectorAll(".sa-tile")) tile.setAttribute("aria-pressed", String(tile.dataset.name === this.marked));
  }

  fit() {
    const room = this.element.clientWidth - 8;
    if (room === this.room || room <= 0) return;
    this.room = room;
    this.lay();
  }

  /** As many tiles in a row as there is room for; fewer where that makes a prompt's rows equally long. */
  measure() {
    const longest = Math.max(1, ...(this.view?.prompts ?? []).map(({ samples }) => samples.length));
    const most = Math.max(1, Math.min(longest, Math.floor(this.room / TILE)));
    this.columns = this.room ? Math.ceil(longest / Math.ceil(longest / most)) : 0;
    const width = Math.min(WIDEST, (this.room ?? 0) / (this.columns || 1)) - 18;
    const height = Math.round(Math.max(40, width / SHAPE));
    this.element.style.setProperty("--sa-strip", `${height}px`);
    this.list.rowHeight = AROUND + height;
  }

  lay() {
    this.measure();
    const rows = [];
    for (const prompt of (this.columns && this.view?.prompts) || []) {
      for (let start = 0; start < prompt.samples.length; start += this.columns) {
        const samples = prompt.samples.slice(start, start + this.columns);
        const { id, text } = prompt;
        rows.push({ run: this.view.run, set: this.view.set, columns: this.columns, id, text: start ? "" : text, start, note: start ? "" : note(prompt), samples });
      }
    }
    this.prompts = new Map((this.view?.prompts ?? []).map((prompt) => [prompt.id, prompt]));
    this.list.show(rows, ({ set, id, start }) => `${set} ${start} ${id}`);
  }

  row(row) {
    const head = html("div", { class: "sa-grid-head" }, html("span", { class: "sa-one-line", title: row.text }, row.text), html("span", { class: "sa-quiet" }, row.note));
    const tiles = row.samples.map((sample) => this.tile(row, sample));
    return [head, html("div", { class: "sa-tiles", style: `--sa-columns: ${this.columns}` }, tiles)];
  }

  tile({ run, set, id }, sample) {
    const { seed, dsr, obeys, reason, role, changed } = sample;
    const valid = Number.isFinite(dsr);
    const words = valid ? t`score ${score(dsr)}` : reason === "not scored yet" ? retell(reason) : t("no score");
    const part = role ? t(ROLES[role].words) : "";
    const spoken = [t`seed ${seed}`, words, part, retell(reason)];
    const image = html("img", { class: "sa-strip", alt: "", decoding: "async" });
    // Who scrolls past asks the server for nothing.
    setTimeout(() => image.isConnected && image.setAttribute("src", stripUrl(run, { set, prompt: id, seed, changed })), SETTLED);
    const tells = valid ? (obeys ? "sa-good" : "sa-poor") : "sa-quiet";
    const tile = html(
      "button",
      {
        type: "button",
        class: "sa-tile",
        title: retell(reason) ?? t("First, middle and last frame; press to play"),
        "aria-pressed": String(name(id, seed) === this.marked),
        "aria-label": spoken.filter(Boolean).join(t(", ")),
        onclick: () => this.chosen(this.prompts.get(id), sample),
      },
      image,
      html("span", { class: "sa-caption" }, t`seed ${seed}`, role && html("i", { class: `sa-role ${ROLES[role].kind}` }, part), html("b", { class: tells }, words)),
    );
    tile.dataset.name = name(id, seed);
    return tile;
  }

  /**
   * Go from the tile with the focus, or from the open one, to its neighbour, also to one that is not in the page yet, and
   * open it. Without either, to the first.
   */
  step(along, down) {
    const rows = this.list.items;
    const from = document.activeElement?.closest?.(".sa-tile")?.dataset.name ?? this.marked;
    let at = rows.findIndex((row) => row.samples.some(({ seed }) => name(row.id, seed) === from));
    let column = 0;
    if (!rows.length) return;
    if (at < 0) at = 0;
    else {
      column = rows[at].samples.findIndex(({ seed }) => name(rows[at].id, seed) === from) + along;
      at += down;
    }
    if (column < 0) [at, column] = [at - 1, Infinity];
    else if (along > 0 && column >= rows[at].samples.length) [at, column] = [at + 1, 0];
    const row = rows[at];
    if (!row) return;
    const sample = row.samples[Math.min(column, row.samples.length - 1)];
    const { seed } = sample;
    const top = at * this.list.rowHeight;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.list.rowHeight > scrollTop + clientHeight) this.element.scrollTop = top + this.list.rowHeight - clientHeight;
    this.list.draw();
    [...this.element.querySelectorAll(".sa-tile")].find((each) => each.dataset.name === name(row.id, seed))?.focus({ preventScroll: true });
    clearTimeout(this.opening);
    this.opening = setTimeout(() => this.prompts.has(row.id) && this.chosen(this.prompts.get(row.id), sample), OPENING);
  }
}

function name(prompt, seed) {
  return `${seed} ${prompt}`;
}

function note({ pairs, kept, dropped, split }) {
  const words = [split === "held_out" ? t("held out") : pairs === 1 ? t("1 pair") : t`${pairs} pairs`];
  if (kept) words.push(t`${kept} kept by hand`);
  if (dropped) words.push(t`${dropped} dropped by hand`);
  return words.join(t(", "));
}
