// What is being done in a run: the steps of the loop, how far the present one is, and the newest videos.
import { fill, html, say } from "./shared/dom.js";
import { mark, retell, t } from "./shared/language.js";
import { videoUrl } from "./shared/server.js";
import { lazyVideo, mayPlay, release, toggle } from "./shared/video.js";
import { score } from "./shared/words.js";
import { isActive, STEPS } from "./shared/work.js";

const STAGES = {
  generate: mark("generating videos"),
  detect: mark("detecting"),
  score: mark("scoring"),
  pairs: mark("exporting pairs"),
  train: mark("training"),
  evaluate: mark("writing the report"),
};
const MARKS = { done: "✓", now: "▸", next: "▸", part: "·", none: "" };
const STATES = {
  done: mark("done"),
  now: mark("running"),
  next: mark("next"),
  part: mark("incomplete or outdated"),
  none: mark("not started"),
};

/** element is what to put into the page; show(run, work) fills it, close() lets go of its videos. */
export class WorkPanel {
  constructor() {
    this.steps = html("ol", { class: "sa-steps-row", "aria-label": t("Steps of the loop") });
    this.inner = html("p", { class: "sa-quiet" });
    this.title = html("h3", {}, t("Newest videos"));
    this.clips = html("div", { class: "sa-clips" });
    this.element = html("div", { class: "sa-work" }, this.steps, this.inner, this.title, this.clips);
    this.printed = "";
  }

  close() {
    this.clips.querySelectorAll("video").forEach(release);
  }

  show(run, work) {
    const print = JSON.stringify([run, work?.steps, work?.clips, work?.stage, work?.round, work?.inner]);
    if (print === this.printed) return;
    const clips = JSON.stringify([run, work?.clips]);
    const others = clips !== this.shownClips;
    [this.printed, this.shownClips] = [print, clips];
    this.element.hidden = !work?.steps?.some(({ state }) => state !== "none");
    fill(this.steps, (work?.steps ?? []).map(step));
    say(this.inner, isActive(work) ? within(work) : "");
    if (!others) return; // so that they play on
    this.close();
    const found = work?.clips ?? [];
    this.title.hidden = !found.length;
    fill(this.clips, found.map((clip) => this.clip(run, clip)));
  }

  clip(run, { text, seed, dsr, obeys, reason, ...sample }) {
    const video = lazyVideo(videoUrl(run, { ...sample, seed }), text, mayPlay());
    const known = Number.isFinite(dsr);
    const words = known ? t`score ${score(dsr)}` : reason ? t("no score") : t("not scored");
    const caption = html("span", { class: `sa-caption ${known ? (obeys ? "sa-good" : "sa-poor") : "sa-quiet"}`, title: retell(reason) }, words);
    const attributes = { type: "button", class: "sa-clip", title: text, "aria-label": t`Play or stop: ${text}, seed ${seed}`, onclick: () => toggle([video]) };
    return html("button", attributes, video, caption);
  }
}

function step({ name, state, done, total }) {
  const count = !total || (!done && state === "none") ? "" : state === "done" || done === total ? String(total) : `${done}/${total}`;
  const current = state === "now" || state === "next" ? { "aria-current": "step" } : {};
  return html(
    "li",
    { class: "sa-step", "data-state": state, title: t(STATES[state]), ...current },
    html("span", { class: "sa-mark", "aria-hidden": "true" }, MARKS[state]),
    html("span", {}, t(STEPS[name].name)),
    count && html("b", {}, count),
  );
}

/** What is done inside of the step, where that is more than the step says. */
function within({ step, stage, inner, round }) {
  const parts = [];
  if (round) parts.push(t`round ${round[0]} of ${round[1]}`);
  const several = ["rounds", "evaluation", "comparison"].includes(step);
  if (several && STAGES[stage]) parts.push(t(STAGES[stage]));
  if (inner) parts.push(t`held-out videos: ${t(STAGES[inner.stage] ?? inner.stage)}, ${inner.done} of ${inner.total}`);
  return parts.join(t(", "));
}
