// The runs of the output folder, each with its curves at a glance.
import { fill, html, svg } from "./shared/dom.js";
import { language, retell, t } from "./shared/language.js";
import { LongList } from "./shared/long_list.js";
import { scroller } from "./shared/scroller.js";
import { look } from "./shared/server.js";
import { number, percent } from "./shared/words.js";

const WIDTH = 150;
const HEIGHT = 30;
const KEPT = 60_000; // milliseconds that a curve is believed

/** chosen(name): the artist wants this run. load() asks for the list, mark(name) says which one is open. */
export class RunList {
  constructor({ chosen }) {
    this.chosen = chosen;
    this.marked = null;
    this.curves = new Map(); // name -> { at, view }
    this.element = scroller(t("Runs of the output folder"));
    this.list = new LongList({ rowHeight: 98, scroller: this.element, label: t("Runs"), render: (run) => this.row(run) });
    this.element.append(this.list.element);
  }

  close() {
    this.list.close();
  }

  mark(name) {
    this.marked = name;
    for (const button of this.element.querySelectorAll(".sa-run")) {
      button.setAttribute("aria-current", String(button.dataset.run === name));
    }
  }

  async load() {
    const { runs } = await look("runs").catch(() => ({ runs: [] }));
    this.list.show(runs, ({ name }) => name);
  }

  row(run) {
    const { name, state, changed } = run;
    const curve = html("span", { class: "sa-run-curve" });
    const day = new Date(changed * 1000).toLocaleDateString(language(), { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
    const button = html(
      "button",
      { type: "button", class: "sa-run", "aria-current": String(name === this.marked), onclick: () => this.chosen(name) },
      html("b", { title: name }, name),
      html("span", { class: "sa-quiet" }, [state === "none" ? t("not trained") : retell(state), day].join(t(", "))),
      curve,
    );
    button.dataset.run = name;
    this.draw(run, curve);
    return button;
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
