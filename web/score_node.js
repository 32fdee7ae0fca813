// A scored or tracked video on its node: the video, how much each relation holds frame by frame, and what that means.
import { after } from "./node_hooks.js";
import { addElement, grow } from "./node_text.js";
import { LineChart } from "./shared/chart.js";
import { fill, html, say, shield } from "./shared/dom.js";
import { mark, retell, t } from "./shared/language.js";
import { viewUrl } from "./shared/server.js";
import { score } from "./shared/words.js";

const WIDGET = "spatialalign_score";
const LEAST = 450;
const MARKS = { yes: "✓", partly: "~", no: "✗" };

/** Show the chart that a node's output holds; nodes without one stay as they are. Returns whether there is one. */
export function showScore(node, output) {
  const data = output?.spatialalign_score?.[0];
  if (!data) return false;
  if (!node.spatialalignScore) {
    node.spatialalignScore = new ScoreChart();
    addElement(node, WIDGET, node.spatialalignScore.element, LEAST);
    after(node, "onRemoved", () => node.spatialalignScore?.close());
  }
  node.spatialalignScore.show(data);
  grow(node);
  return true;
}

class ScoreChart {
  constructor() {
    this.title = html("div", { class: "sa-score-title" });
    this.reason = html("p", { class: "sa-message sa-error" });
    this.video = html("video", { class: "sa-video", loop: true, playsinline: true, preload: "auto", "aria-hidden": "true" });
    this.video.muted = true;
    this.video.addEventListener("seeked", () => this.seek());
    this.play = html("button", { type: "button", class: "sa-button", onclick: () => this.toggle() }, t("Play"));
    this.legend = html("div", { class: "sa-legend" });
    this.chart = new LineChart({
      label: t("How much each relation holds, frame by frame"),
      height: 130,
      unit: mark("frame {0}"),
      read: (frame) => this.read(frame),
      moved: (frame, meant) => this.moved(frame, meant),
    });
    this.parts = html("ul", { class: "sa-parts" });
    this.element = shield(
      html(
        "section",
        { class: "spatialalign sa-score", "aria-label": t("Score") },
        this.title,
        this.reason,
        this.video,
        html("div", { class: "sa-score-bar" }, this.play, this.legend),
        this.chart.element,
        this.parts,
      ),
    );
    for (const kind of ["play", "pause"]) {
      this.video.addEventListener(kind, () => say(this.play, this.video.paused ? t("Play") : t("Pause")));
    }
  }

  close() {
    this.chart.close();
    this.video.removeAttribute("src");
    this.video.load();
  }

  show(data) {
    this.data = data;
    say(this.title, retell(data.title));
    this.title.hidden = !data.title;
    this.title.className = `sa-score-title ${data.good === null ? "" : data.good ? "sa-good" : "sa-poor"}`;
    say(this.reason, data.reason ? t`Not valid: ${retell(data.reason)}` : "");
    this.video.hidden = this.play.hidden = !data.video;
    if (data.video) {
      this.video.src = viewUrl(data.video);
      this.follow();
    }
    const kinds = ["one", "two"];
    fill(
      this.legend,
      data.lines.map(({ words }, index) =>
        html("span", {}, html("i", { class: `sa-swatch sa-${kinds[index]}`, "aria-hidden": "true" }), retell(words)),
      ),
    );
    const points = (values) => values.map((value, frame) => [frame, value]);
    const lines = data.lines.map(({ values }, index) => ({ points: points(values), kind: kinds[index], dots: data.frames <= 60 }));
    const ticks = data.low < 0 ? [-1, 0, 1] : [0, 0.5, 1];
    this.chart.put(null);
    this.chart.show({ lines, bands: data.gaps, first: 0, last: data.frames - 1, low: data.low, high: data.high, ticks });
    fill(
      this.parts,
      data.parts.map(({ text, answer, value }) =>
        html(
          "li",
          { class: `sa-part sa-${answer}` },
          html("span", { class: "sa-mark", "aria-hidden": "true" }, MARKS[answer]),
          html("span", {}, retell(text)),
          html("span", { class: "sa-value" }, score(value, true)),
        ),
      ),
    );
    this.parts.hidden = !data.parts.length;
  }

  read(frame) {
    if (!this.data) return "";
    if (frame === null) return t("Move along the curve, or play, to look at a frame.");
    const gap = this.data.gaps.find(({ from, to }) => from <= frame && frame <= to);
    if (gap) return t`frame ${frame} is not valid: ${retell(gap.reason)}`;
    const signed = this.data.low < 0;
    const values = this.data.lines.map(({ words, values }) => `${retell(words.replace(/ \(.*\)$/, ""))} ${score(values[frame], signed)}`);
    const read = values.join(t(", "));
    if (this.data.bridged.includes(frame)) return t`frame ${frame}: ${read}; a box is interpolated`;
    return t`frame ${frame}: ${read}`;
  }

  moved(frame, meant) {
    if (!this.data.video) return;
    if (!this.video.paused) {
      if (!meant) return; // the mouse only passes over
      this.video.pause();
    }
    this.wanted = frame;
    this.seek();
  }

  /** Go to the frame that is wanted; one at a time, so that the picture keeps up with the hand. */
  seek() {
    if (this.wanted === null || this.wanted === undefined || this.video.seeking) return;
    const time = (this.wanted + 0.5) / this.data.video.fps;
    this.wanted = null;
    if (Math.abs(this.video.currentTime - time) > 1e-3) this.video.currentTime = time;
  }

  toggle() {
    if (this.video.paused) this.video.play().catch(() => {}); // removed before it began
    else this.video.pause();
  }

  /** Move the cursor along while the video plays. */
  follow() {
    if (!this.video.requestVideoFrameCallback || this.following) return;
    this.following = true;
    const step = (_, { mediaTime }) => {
      if (!this.video.paused) this.chart.put(Math.min(this.data.frames - 1, Math.round(mediaTime * this.data.video.fps)));
      if (this.video.hasAttribute("src")) this.video.requestVideoFrameCallback(step);
      else this.following = false;
    };
    this.video.requestVideoFrameCallback(step);
  }
}
