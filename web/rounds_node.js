// The rounds so far on a Rounds node: how well held-out videos do after each, while they go on and after a reload.
import { after, hearAbout } from "./node_hooks.js";
import { addElement, grow } from "./node_text.js";
import { LineChart } from "./shared/chart.js";
import { fill, html, say, shield } from "./shared/dom.js";
import { mark, retell, t } from "./shared/language.js";
import { look } from "./shared/server.js";
import { percent, score } from "./shared/words.js";

const WIDGET = "spatialalign_rounds";
const REMEMBERED = "spatialalign_run"; // a property of the node
const LEAST = 230;
const LINES = [
  { kind: "one", words: mark("score of held-out videos"), of: ({ held_out_score }) => held_out_score },
  { kind: "two", words: mark("share that obeys"), of: ({ held_out_obey }) => held_out_obey },
];
// Instead of the second where a round was written by a version that did not check both ends of a video.
const REACHED = { kind: "two", words: mark("share that scores at least 0.7"), of: ({ held_out_accuracy }) => held_out_accuracy };

/** Let a Rounds node show its rounds, from when there are any. */
export function attachRounds(node) {
  hearAbout(node, "rounds", (event) => {
    node.properties[REMEMBERED] = event.run;
    open(node, event.run, event);
  });
  after(node, "onConfigure", () => {
    const run = node.properties?.[REMEMBERED];
    if (typeof run === "string") open(node, run, null);
  });
  after(node, "onRemoved", () => {
    node.spatialalignRounds?.chart.close();
    node.spatialalignRounds = null;
  });
}

async function open(node, run, event) {
  const found = event && !isNew(event) ? null : await look("rounds", { run }).catch(() => null);
  if (!node.graph) return; // removed meanwhile
  if (!node.spatialalignRounds) {
    if (!event && !found?.rounds.length) return;
    node.spatialalignRounds = new RoundsChart();
    addElement(node, WIDGET, node.spatialalignRounds.element, LEAST);
    grow(node);
  }
  if (event) node.spatialalignRounds.tell(event);
  if (found) node.spatialalignRounds.show(found);
}

/** Whether a round has ended since the last event, or all of them. */
function isNew({ ended, held_out_score }) {
  return Boolean(ended) || held_out_score !== undefined;
}

class RoundsChart {
  constructor() {
    this.rounds = [];
    this.best = null;
    this.now = html("p", { class: "sa-message", role: "status" });
    this.bar = html("progress", { class: "sa-progress", "aria-label": t("Progress of this stage"), max: "1", value: "0" });
    this.bar.hidden = true;
    this.lines = LINES;
    this.legend = html("div", { class: "sa-legend" });
    this.chart = new LineChart({
      label: t("Held-out videos, round by round"),
      height: 130,
      unit: mark("round {0}"),
      read: (number) => this.read(number),
    });
    this.body = html("div", {}, this.legend, this.chart.element);
    this.element = shield(html("section", { class: "spatialalign sa-rounds", "aria-label": t("Rounds") }, this.now, this.bar, this.body));
    this.body.hidden = true;
  }

  /** What is being done; nothing when it has ended. */
  tell({ message, step, total, ended }) {
    say(this.now, ended ? "" : (retell(message) ?? ""));
    this.bar.hidden = Boolean(ended) || !total;
    this.bar.max = total || 1;
    this.bar.value = step ?? 0;
  }

  show({ rounds, best }) {
    Object.assign(this, { rounds, best });
    this.body.hidden = !rounds.length;
    if (!rounds.length) return;
    this.lines = rounds.every(({ held_out_obey }) => Number.isFinite(held_out_obey)) ? LINES : [LINES[0], REACHED];
    fill(
      this.legend,
      this.lines.map(({ kind, words }) => html("span", {}, html("i", { class: `sa-swatch sa-${kind}`, "aria-hidden": "true" }), t(words))),
    );
    const lines = this.lines.map(({ kind, of }) => ({ points: rounds.map((round) => [round.number, of(round)]), kind, dots: true }));
    const last = Math.max(1, rounds.at(-1).number);
    this.chart.show({ lines, first: 0, last, low: 0, high: 1, ticks: [0, 0.5, 1] });
  }

  /** The words for a round; without a cursor, for the best. */
  read(number) {
    const round = this.rounds.find((each) => each.number === (number ?? this.best ?? 0));
    if (!round) return "";
    const [own, share] = [score(round.held_out_score), percent(this.lines[1].of(round))];
    const obeys = this.lines === LINES ? t`score ${own}, ${share} obey` : t`score ${own}, ${share} score at least 0.7`;
    if (round.number === 0) return t`before training: ${obeys}`;
    if (round.number === this.best) return t`round ${round.number}, the best: ${obeys}, learned from ${round.pairs} pairs`;
    return t`round ${round.number}: ${obeys}, learned from ${round.pairs} pairs`;
  }
}
