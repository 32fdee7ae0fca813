// The runs of the output folder, found and sorted, each with its result, its note and its curves at a glance.
import { fill, html, say, svg } from "./shared/dom.js";
import { language, mark, retell, t } from "./shared/language.js";
import { LongList } from "./shared/long_list.js";
import { scroller } from "./shared/scroller.js";
import { look, reportUrl } from "./shared/server.js";
import { bytes, number, percent } from "./shared/words.js";

const WIDTH = 150;
const HEIGHT = 30;
const KEPT = 60_000; // milliseconds that a curve is believed
const TYPED = 250; // milliseconds after the last letter
const gained = ({ result }) => (result ? result.after - result.before : -Infinity);
const SORTED = {
  newest: { words: mark("newest first"), by: () => 0 }, // as the server sends them
  name: { words: mark("by name"), by: (one, other) => one.name.localeCompare(other.name, language(), { numeric: true }) },
  size: { words: mark("largest first"), by: (one, other) => (other.size ?? 0) - (one.size ?? 0) },
  result: { words: mark("most gained first"), by: (one, other) => gained(other) - gained(one) || 0 },
};

/**
 * chosen(name): the artist wants this run. told({ run, sizes, bin }): what is known of the marked run has changed.
 * load() asks for the list, mark(name) says which one is open.
 */
export class RunList {
  constructor({ chosen, told = () => {} }) {
    Object.assign(this, { chosen, told, marked: null, all: [], sizes: {}, bin: null });
    this.curves = new Map(); // name -> { at, view }
    const words = t("Find runs");
    const about = t("In names, notes, prompts and models");
    this.find = html("input", { type: "search", class: "sa-select", placeholder: words, "aria-label": words, title: about });
    this.find.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.load(), TYPED);
    });
    const ways = Object.entries(SORTED).map(([value, each]) => html("option", { value }, t(each.words)));
    this.sort = html("select", { class: "sa-select", "aria-label": t("Order of the runs"), onchange: () => this.show() }, ways);
    this.count = html("p", { class: "sa-quiet", role: "status" });
    this.scroll = scroller(t("Runs of the output folder"));
    this.list = new LongList({ rowHeight: 124, scroller: this.scroll, label: t("Runs"), render: (run) => this.row(run) });
    this.scroll.append(this.list.element);
    this.element = html("div", { class: "sa-runs" }, this.find, this.sort, this.count, this.scroll);
  }

  close() {
    clearTimeout(this.timer);
    this.list.close();
  }

  /** What the list knows of a run; undefined where it is not there. */
  run(name) {
    return this.all.find((run) => run.name === name);
  }

  mark(name) {
    this.marked = name;
    for (const button of this.element.querySelectorAll(".sa-run")) {
      button.setAttribute("aria-current", String(button.dataset.run === name));
    }
    this.tell();
  }

  async load() {
    const find = this.find.value.trim();
    const { runs } = await look("runs", { find }).catch(() => ({ runs: [] }));
    if (find !== this.find.value.trim()) return;
    this.all = runs;
    const none = find ? t("No run has these words in its name, note, prompts or model.") : "";
    const some = runs.length === 1 ? t("1 run") : t`${runs.length} runs`;
    say(this.count, runs.length ? some : none);
    this.show();
    // Sizes take longer, on a network disk at least; the list does not wait for them.
    const known = await look("sizes").catch(() => null);
    if (!known) return;
    Object.assign(this, known);
    this.show();
  }

  show() {
    const runs = this.all.map((run) => ({ ...run, size: this.sizes[run.name]?.total }));
    this.list.show(runs.sort(SORTED[this.sort.value].by), ({ name }) => name);
    this.tell();
  }

  tell() {
    this.told({ run: this.run(this.marked), sizes: this.sizes[this.marked], bin: this.bin });
  }

  row(run) {
    const { name, state, changed, note, result, report, size } = run;
    const curve = html("span", { class: "sa-run-curve" });
    const day = new Date(changed * 1000).toLocaleDateString(language(), { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
    const button = html(
      "button",
      { type: "button", class: "sa-run", "aria-current": String(name === this.marked), onclick: () => this.chosen(name) },
      html("b", { title: name }, name),
      html("span", { class: "sa-quiet" }, [state === "none" ? t("not trained") : retell(state), day].join(t(", "))),
      html("span", { class: "sa-run-result" }, result && html("b", { title: t("held-out videos that obey, before and after training") }, resultWords(result)), html("span", { class: "sa-quiet" }, bytes(size))),
      html("span", { class: "sa-run-note", title: note || null }, note),
      curve,
    );
    button.dataset.run = name;
    this.draw(run, curve);
    const opens = report && html("a", { class: "sa-run-report", href: reportUrl(name), target: "_blank", rel: "noopener", "aria-label": t`Open the report of ${name}` }, t("Open report"));
    return html("div", { class: "sa-run-tile" }, button, opens);
  }

  async draw({ name, state }, place) {
    if (state === "none") return;
    let known = this.curves.get(name);
    if (!known || performance.now() - known.at > KEPT) {
      const view = await look("training", { run: name, points: 60 }).catch(() => null);
      known = { at: performance.now(), view };
      this.curves.set(name, known);
    }
    if (known.view) fill(place, ...sparkline(known.view));
  }
}

/** "44 % to 98 %". */
export function resultWords({ before, after }) {
  return t`${percent(before)} to ${percent(after)}`;
}

/** The loss, and the held-out score where it was looked at; and its words. */
function sparkline({ curves, latest, step }) {
  const lines = [];
  if (curves.loss) lines.push(path(curves.loss.mean ?? curves.loss.raw, step, "sa-one"));
  if (curves.held_out_score) lines.push(path(curves.held_out_score.raw, step, "sa-two", 0, 1));
  const held = latest.held_out_score;
  const words = held === undefined ? t`loss ${number(latest.loss)}` : t`loss ${number(latest.loss)}, held out ${percent(held)}`;
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" }, lines);
  return [picture, html("span", { class: "sa-quiet" }, words)];
}

function path(points, last, kind, low = Infinity, high = -Infinity) {
  for (const [, y] of points) {
    low = Math.min(low, y);
    high = Math.max(high, y);
  }
  const x = (value) => ((value - points[0][0]) / Math.max(1, last - points[0][0])) * (WIDTH - 4) + 2;
  const y = (value) => HEIGHT - 3 - ((value - low) / (high - low || 1)) * (HEIGHT - 6);
  const line = points.map(([at, value], index) => `${index ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  return svg("path", { class: `sa-line ${kind}`, d: line });
}
