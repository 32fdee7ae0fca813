// Two LoRAs or strengths side by side: how often each obeys and how sure that is, and their videos in step.
import { fill, html, say } from "./shared/dom.js";
import { mark, retell, t } from "./shared/language.js";
import { LongList } from "./shared/long_list.js";
import { scroller } from "./shared/scroller.js";
import { look, pictureUrl, videoUrl } from "./shared/server.js";
import { SideBySide } from "./shared/side_by_side.js";
import { percent, points, score } from "./shared/words.js";

const SIDES = ["a", "b"];
const PLACES = { L: mark("left"), R: mark("right"), T: mark("top") };
const VERDICTS = {
  better: mark("B obeys more often than A."),
  worse: mark("A obeys more often than B."),
  unclear: mark("No clear difference: the interval includes 0, so it may be chance. Use more prompts or more seeds."),
};

// Of a comparison that was written by a version that did not check both ends of a video.
const OLD_VERDICTS = {
  ...VERDICTS,
  better: mark("More of B's videos than of A's reach this score."),
  worse: mark("More of A's videos than of B's reach this score."),
};

/** show({ run, name }), or null. */
export class ComparisonPanel {
  constructor() {
    this.message = html("p", { class: "sa-message sa-error", role: "status" });
    this.verdict = html("p", { class: "sa-verdict" });
    this.table = html("table", { class: "sa-table" });
    this.players = new SideBySide();
    this.text = html("p", { class: "sa-pair-text" });
    this.scroll = scroller(t("Pairs of videos, the greatest difference first"));
    this.list = new LongList({ rowHeight: 46, scroller: this.scroll, label: t("Pairs of videos"), render: (sample) => this.row(sample) });
    this.scroll.append(this.list.element);
    this.picture = html("a", { class: "sa-button", target: "_blank", rel: "noopener", download: true }, t("Picture to share"));
    this.body = html("div", { class: "sa-comparison-body" }, this.verdict, this.table, this.text, this.players.element, this.scroll, html("div", {}, this.picture));
    this.element = html("section", { class: "sa-comparison", "aria-label": t("Comparison") }, this.message, this.body);
    this.show(null);
  }

  close() {
    this.show(null);
    this.list.close();
  }

  async show(chosen) {
    this.chosen = chosen;
    this.body.hidden = true;
    this.players.show([]);
    say(this.message, "");
    if (!chosen) return;
    try {
      const data = await look("comparison", chosen);
      if (this.chosen !== chosen) return;
      this.data = data;
      this.body.hidden = false;
      this.draw();
    } catch (refused) {
      if (this.chosen === chosen) say(this.message, refused.message);
    }
  }

  draw() {
    const { data, chosen } = this;
    const base = t`${data.prompts} prompts, ${data.videos_per_model} videos each, from the same noise.`;
    const obeys = data.obey
      ? t`A video obeys when it scores at least ${data.tau} and starts and ends where its prompt says.`
      : t("Compare again to see how many of them also start and end where their prompts say.");
    say(this.verdict, `${t((data.obey ? VERDICTS : OLD_VERDICTS)[data.verdict] ?? "")} ${base} ${obeys}`);
    const head = ["", `A: ${retell(data.a.name)}`, `B: ${retell(data.b.name)}`, t("difference")];
    fill(
      this.table,
      html("thead", {}, html("tr", {}, head.map((words) => html("th", { scope: "col", title: words }, words)))),
      html(
        "tbody",
        {},
        data.obey ? [figure(t("Videos that obey"), data.obey, shares), ...this.byChange(data.obey_by_change)] : null,
        figure(t`Score of at least ${data.tau}`, data.accuracy, shares),
        data.obey ? null : this.byChange(data.by_change),
        figure(t("Mean score"), data.mean_dsr_of_valid, scores),
        figure(t("Cannot be scored"), data.invalid_share, shares),
      ),
    );
    this.picture.href = pictureUrl(chosen.run, chosen.name);
    this.picture.download = `${chosen.name}.png`;
    const far = ({ a, b }) => Math.abs((b.dsr ?? 0) - (a.dsr ?? 0));
    const samples = [...data.samples].sort((one, other) => far(other) - far(one));
    this.list.show(samples, keyOf);
    if (samples.length) this.play(samples[0]);
  }

  byChange(figures) {
    return Object.entries(figures).map(([code, each]) => figure(changeWords(code), each, shares, "sa-quiet"));
  }

  play(sample) {
    const { data, chosen } = this;
    this.playing = keyOf(sample);
    say(this.text, t`${data.texts[sample.prompt] ?? sample.prompt} (seed ${sample.seed})`);
    this.players.show(
      SIDES.map((side) => {
        const { dsr, reason, obeys = dsr >= data.tau } = sample[side];
        const url = videoUrl(chosen.run, { set: data[side].set, prompt: sample.prompt, seed: sample.seed });
        const kind = Number.isFinite(dsr) ? (obeys ? "sa-good" : "sa-poor") : "sa-quiet";
        return { url, title: `${side.toUpperCase()}: ${retell(data[side].name)}`, words: Number.isFinite(dsr) ? t`score ${score(dsr)}` : t("no score"), kind, about: retell(reason) };
      }),
    );
    for (const button of this.list.element.querySelectorAll(".sa-pair-row")) button.setAttribute("aria-current", String(button.dataset.key === this.playing));
  }

  row(sample) {
    const said = (side) => (Number.isFinite(sample[side].dsr) ? score(sample[side].dsr) : t("no score"));
    const text = this.data.texts[sample.prompt] ?? sample.prompt;
    const button = html(
      "button",
      { type: "button", class: "sa-pair-row", "aria-current": String(keyOf(sample) === this.playing), onclick: () => this.play(sample) },
      html("span", { class: "sa-one-line", title: text }, text),
      html("span", { class: "sa-pair-line" }, html("span", { class: "sa-quiet" }, t`seed ${sample.seed}`), html("b", {}, t`A ${said("a")}, B ${said("b")}`)),
    );
    button.dataset.key = keyOf(sample);
    return button;
  }
}

function figure(name, { a, b, difference, prompts }, words, kind = null) {
  const changed = difference.low > 0 || difference.high < 0;
  const cells = [a, b].map((each) => html("td", {}, html("span", {}, words.value(each.value)), " ", html("small", {}, words.span(each))));
  const delta = html("td", { class: changed ? "sa-sure" : "sa-quiet" }, html("span", {}, words.signed(difference.value)), " ", html("small", {}, words.span(difference, true)));
  return html("tr", { class: kind }, html("th", { scope: "row", title: t`${prompts} prompts` }, name), cells, delta);
}

const known = (...values) => values.every((value) => Number.isFinite(value));

const shares = {
  value: (value) => (known(value) ? percent(value) : "–"),
  signed: (value) => (known(value) ? t`${points(value)} points` : "–"),
  span: ({ low, high }, signed = false) => (known(low, high) ? (signed ? t`${points(low)} to ${points(high)}` : t`${Math.round(100 * low)} to ${percent(high)}`) : ""),
};
const scores = {
  value: (value) => (known(value) ? score(value) : "–"),
  signed: (value) => (known(value) ? score(value, true) : "–"),
  span: ({ low, high }, signed = false) => (known(low, high) ? t`${score(low, signed)} to ${score(high, signed)}` : ""),
};

function changeWords(code) {
  return `${t(PLACES[code[0]] ?? code[0])} \u2192 ${t(PLACES[code[1]] ?? code[1])}`;
}

function keyOf({ prompt, seed }) {
  return `${seed} ${prompt}`;
}
