// How a run goes: the step that it is at, the curves of its training, its held-out videos beside those of the base, and
// buttons to steer the training.
import { LineChart } from "./shared/chart.js";
import { fill, html, say, shield } from "./shared/dom.js";
import { mark, retell, t } from "./shared/language.js";
import { change, videoUrl } from "./shared/server.js";
import { addStyle } from "./shared/style.js";
import { follow, refresh } from "./shared/training.js";
import { standing, VideoGrid } from "./shared/video_grid.js";
import { bytes, duration, number, percent, score } from "./shared/words.js";
import { isActive, workCount, workWords } from "./shared/work.js";
import { WorkPanel } from "./work_panel.js";

const CHARTS = [
  { title: mark("Loss"), name: "loss", about: mark("Falls as the model learns to prefer winners to losers.") },
  { title: mark("Margin"), name: "margin", about: mark("How much more the model prefers winners than before. Should rise.") },
  { title: mark("Implicit accuracy"), name: "accuracy", top: 1, words: percent, about: mark("Share of training pairs in which the model prefers the winner.") },
  {
    title: mark("Held-out score"),
    name: "held_out_score",
    top: 1,
    words: score,
    about: mark("DSR-Score of held-out videos, which are not trained on. This is the result that matters."),
  },
];

const SAMPLE = mark("Make and score the held-out videos of this step");
const BUTTONS = [
  ["pause", mark("Pause"), mark("Pause between two steps, with everything saved")],
  ["resume", mark("Resume"), mark("Go on")],
  ["save", mark("Save now"), mark("Save a checkpoint and the LoRA of this step")],
  ["sample", mark("Sample now"), SAMPLE],
  ["stop", mark("Stop"), mark("Save everything and stop; the next run continues after this step")],
];
const NO_DETECTOR = mark("No detector is connected to the training node, so held-out videos cannot be sampled.");
const ASKED = { pause: mark("pause"), save: mark("save"), sample: mark("sample"), stop: mark("stop") };

/** A panel that shows one run at a time. show(run) chooses it, close() ends it; element is what to put into the page. */
export class TrainingPanel {
  constructor() {
    addStyle();
    this.run = null;
    this.state = html("span", { class: "sa-state" });
    this.steps = html("span", { class: "sa-steps" });
    this.bar = html("progress", { class: "sa-progress", "aria-label": t("Done of this step"), max: "1", value: "0" });
    this.facts = html("dl", { class: "sa-facts" });
    this.buttons = new Map(BUTTONS.map((button) => [button[0], this.button(...button)]));
    this.message = html("p", { class: "sa-message", role: "status" });
    this.charts = CHARTS.map((chart) => new TrainingChart(chart));
    this.element = shield(html("section", { class: "spatialalign sa-training", "aria-label": t("Training") }));
    this.element.dataset.captureWheel = "true"; // tells Nodes 2.0 that this scrolls, the canvas does not zoom
    this.element.addEventListener("wheel", (event) => event.stopPropagation());
    this.work = new WorkPanel();
    this.noSample = html("p", { class: "sa-quiet" }, t(NO_DETECTOR));
    this.videos = new Videos(this.element);
    const body = html(
      "div",
      { class: "sa-body" },
      html("div", { class: "sa-head" }, this.state, this.steps),
      this.bar,
      this.facts,
      html("div", { class: "sa-buttons", role: "group", "aria-label": t("Training controls") }, [...this.buttons.values()]),
      this.noSample,
      this.message,
      this.work.element,
      html("div", { class: "sa-charts" }, this.charts.map((chart) => chart.element)),
      this.videos.element,
    );
    this.element.append(body);
    this.draw({ view: null, looks: null, error: "", news: null });
  }

  /** Follow this run from now on; null shows none. */
  show(run) {
    if (run === this.run) return;
    this.unfollow?.();
    this.run = run;
    this.refused = "";
    this.videos.show(null, null);
    this.draw({ view: null, looks: null, error: "", news: null });
    this.unfollow = run === null ? null : follow(run, (training) => this.draw(training));
  }

  close() {
    this.show(null);
    this.videos.close();
    this.work.close();
    for (const chart of this.charts) chart.close();
  }

  button(action, words, tooltip) {
    const attributes = { type: "button", class: "sa-button", title: t(tooltip), onclick: () => this.act(action) };
    return html("button", attributes, t(words));
  }

  async act(action) {
    try {
      await change("training", { run: this.run, action });
      this.refused = "";
    } catch (refused) {
      this.refused = refused.message;
      say(this.message, refused.message);
    }
    refresh(this.run);
  }

  draw({ view, looks, error, news }) {
    const work = view?.work;
    // Another step of the loop: what the training last did says nothing about it.
    const elsewhere = work?.step && (work.step !== "training" || work.state === "between") && (isActive(work) || view.state === "none");
    this.element.dataset.state = error ? "error" : elsewhere && isActive(work) ? "training" : (view?.state ?? "none");
    const waiting = this.run === null ? t("No run chosen") : t("Loading…");
    const about = (elsewhere && workWords(work)) || sentence(retell(view?.about));
    say(this.state, error && !view ? t("Not there") : (about ?? waiting));
    say(this.steps, elsewhere ? workCount(work) : view?.total ? t`step ${view.step} of ${view.total}` : "");
    const [done, total] = elsewhere ? [work.done, isActive(work) ? work.total : 0] : [view?.step, view?.total];
    this.bar.hidden = !total;
    this.bar.max = total || 1;
    this.bar.value = done ?? 0;
    this.tellFacts(elsewhere ? null : view);
    this.work.show(this.run, work);
    const working = view?.at_work ?? false;
    this.working = working || isActive(work);
    const pausing = view?.state === "paused" || view?.asked.includes("pause");
    for (const [action, button] of this.buttons) {
      button.hidden = (action === "pause" && pausing) || (action === "resume" && !pausing);
      button.disabled = !working || (view.asked.includes(action) && action !== "pause") || (action === "sample" && !view.can_sample);
    }
    this.noSample.hidden = !working || view.can_sample;
    this.buttons.get("sample").title = t(working && !view.can_sample ? NO_DETECTOR : SAMPLE);
    this.buttons.get("stop").parentElement.hidden = !working;
    const asked = (view?.asked ?? []).filter((each) => !(each === "pause" && view.state === "paused"));
    const wishes = asked.map((each) => t(ASKED[each] ?? each)).join(t(" and "));
    const soon = wishes && t`Requested: ${wishes}. It takes effect after the current step or video.`;
    say(this.message, error || this.refused || soon || (working && news?.run === this.run ? (retell(news.message) ?? "") : ""));
    this.message.classList.toggle("sa-error", Boolean(error || this.refused));
    for (const chart of this.charts) chart.show(view, looks?.base_score ?? null);
    this.videos.show(this.run, looks);
  }

  tellFacts(view) {
    const facts = [
      [t("time left"), view?.at_work && duration(view.seconds_left ?? NaN)],
      [t("time per step"), duration(view?.seconds_per_step ?? NaN)],
      [t("memory"), view?.at_work && view.memory && t`${bytes(view.memory)} of ${bytes(view.memory_total)}`],
      [t("memory plan"), view?.plan],
      [t("best step"), view?.best !== null && view?.best !== undefined && String(view.best)],
    ].filter(([, value]) => value);
    const print = JSON.stringify(facts);
    if (print === this.told) return;
    this.told = print;
    fill(this.facts, facts.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))));
  }
}

class TrainingChart {
  constructor({ title, name, top = null, words = number, about }) {
    Object.assign(this, { name, top, words });
    this.value = html("span", { class: "sa-value" });
    const head = html("div", { class: "sa-chart-head", title: t(about) }, html("span", {}, t(title)), this.value);
    const tickWords = words === percent ? percent : undefined;
    this.chart = new LineChart({ label: t(title), height: 108, reading: this.value, read: (x) => this.read(x), tickWords });
    this.element = html("div", { class: "sa-chart-box" }, head, this.chart.element);
  }

  close() {
    this.chart.close();
  }

  show(view, base) {
    const curve = view?.curves[this.name];
    this.element.hidden = !curve;
    if (!curve) return;
    this.curve = curve;
    const values = curve.raw.map(([, y]) => y);
    const held = this.name === "held_out_score";
    const levels = held && base !== null ? [{ y: base, words: t`base ${score(base)}` }] : [];
    const [low, high] = this.top === null ? range(values) : [0, this.top];
    const lines = [{ points: curve.raw, kind: curve.mean ? "raw" : "one", dots: curve.raw.length <= 40 }];
    if (curve.mean) lines.push({ points: curve.mean, kind: "one" });
    // All charts over the same steps, so that they can be read against each other.
    const first = view.curves.loss?.raw[0][0] ?? curve.raw[0][0];
    const ticks = this.top === 1 ? [0, 0.5, 1] : undefined;
    this.chart.show({ lines, levels, first, last: Math.max(view.step, first), low, high, ticks });
  }

  read(x) {
    if (!this.curve) return "";
    const { raw, mean } = this.curve;
    const near = (points) => points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
    if (x === null) return this.words((mean ?? raw).at(-1)[1]); // one step alone says little
    const [step, value] = near(raw);
    if (!mean) return t`step ${step}: ${this.words(value)}`;
    return t`step ${step}: ${this.words(value)}, mean ${this.words(near(mean)[1])}`;
  }
}

/** From 0, unless all of it lies so far from there that its ups and downs would not be seen. */
function range(values) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  if (least > most / 2) {
    const air = (most - least || most) / 10;
    return [least - air, most + air];
  }
  const [low, high] = [Math.min(0, least), Math.max(0, most)];
  return [low, high > low ? high : low + 1];
}

/** The held-out videos, newest look first: base and with LoRA of the same prompt and seed in a row. */
class Videos {
  constructor(scroller) {
    this.choice = html("select", { class: "sa-select", "aria-label": t("Show the videos of"), onchange: () => this.fill() });
    this.count = html("span", { class: "sa-quiet" });
    this.grid = new VideoGrid({ label: t("Held-out videos"), scroller });
    const head = html("div", { class: "sa-videos-head" }, html("h3", {}, t("Held-out videos")), this.choice, this.count);
    this.element = html("div", { class: "sa-videos" }, head, this.grid.element);
    this.element.hidden = true;
  }

  close() {
    this.grid.close();
  }

  show(run, looks) {
    const print = JSON.stringify([run, looks]);
    if (print === this.shown) return;
    this.shown = print;
    this.run = run;
    this.looks = looks;
    this.element.hidden = !looks?.rows.length;
    if (this.element.hidden) return this.grid.show([]);
    const ids = [...new Set(looks.rows.map((row) => row.aligned.prompt))].sort();
    const before = this.choice.value;
    fill(
      this.choice,
      html("option", { value: "" }, t("all prompts")),
      ids.map((id) => html("option", { value: `=${id}` }, looks.prompts[id] ?? id)),
    );
    this.choice.value = ids.includes(before.slice(1)) ? before : "";
    this.fill();
  }

  fill() {
    const chosen = this.choice.value.slice(1);
    const rows = this.looks.rows.filter((row) => !chosen || row.aligned.prompt === chosen);
    say(this.count, rows.length === 1 ? t("1 pair, newest first") : t`${rows.length} pairs, newest first`);
    this.grid.show(rows.map((row) => this.row(row)));
  }

  row({ step, aligned, base }) {
    const text = this.looks.prompts[aligned.prompt] ?? aligned.prompt;
    const trained = step === null ? t("with LoRA") : t`with LoRA, step ${step}`;
    const side = (name, sample) => ({ url: videoUrl(this.run, sample), name, ...standing(sample) });
    return {
      key: JSON.stringify([aligned.set, aligned.prompt, aligned.seed]),
      text: t`${text} (seed ${aligned.seed})`,
      about: t`Play or stop base and with LoRA together: ${text}, seed ${aligned.seed}`,
      videos: [base && side(t("base"), base), side(trained, aligned)].filter(Boolean),
    };
  }
}

function sentence(words) {
  return words ? words[0].toUpperCase() + words.slice(1) : undefined;
}
