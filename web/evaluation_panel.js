// What an evaluation found: how many videos obey without and with the LoRA, how sure that is, and the videos of both.
import { openBrowser } from "./run_browser.js";
import { fill, html, say, shield } from "./shared/dom.js";
import { language, mark, retell, t } from "./shared/language.js";
import { scroller } from "./shared/scroller.js";
import { look, reportUrl, videoUrl } from "./shared/server.js";
import { standing, VideoGrid } from "./shared/video_grid.js";
import { percent, points } from "./shared/words.js";

const gained = ({ gain }) => gain;
const withLora = ({ lora }) => lora.dsr ?? -1;
const ORDERS = {
  changed: { words: mark("changed most first"), by: (one, other) => Math.abs(gained(other)) - Math.abs(gained(one)) },
  worst: { words: mark("worst with LoRA first"), by: (one, other) => withLora(one) - withLora(other) },
  best: { words: mark("best with LoRA first"), by: (one, other) => withLora(other) - withLora(one) },
};
const OUTCOMES = {
  improved: mark("right only with LoRA"),
  lost: mark("right only without LoRA"),
  kept: mark("right in both"),
  missed: mark("wrong in both"),
};

/** show(run): the last evaluation of a run. */
export class EvaluationPanel {
  constructor() {
    this.message = html("p", { class: "sa-message sa-error", role: "status" });
    this.result = html("p", { class: "sa-result" });
    this.sure = html("p", {});
    this.facts = html("p", { class: "sa-quiet" });
    this.report = html("a", { class: "sa-button", target: "_blank", rel: "noopener" }, t("Open report"));
    this.browse = html("button", { type: "button", class: "sa-button", onclick: () => openBrowser(this.run, () => {}) }, t("Browse videos and pairs"));
    this.order = html("select", { class: "sa-select", "aria-label": t("Which pairs of videos, and in which order"), onchange: () => this.fill() });
    this.count = html("span", { class: "sa-quiet" });
    this.scroll = scroller(t("Videos of the base and with LoRA"));
    this.grid = new VideoGrid({ label: t("Pairs of videos"), scroller: this.scroll, plays: true });
    this.scroll.append(this.grid.element);
    this.body = html(
      "div",
      { class: "sa-evaluation-body" },
      html("div", {}, this.result, this.sure, this.facts),
      html("div", { class: "sa-buttons" }, this.report, this.browse),
      html("div", { class: "sa-videos-head" }, this.order, this.count),
      this.scroll,
    );
    this.element = shield(html("section", { class: "spatialalign sa-evaluation", "aria-label": t("Evaluation") }, this.message, this.body));
    this.body.hidden = true;
  }

  close() {
    this.grid.close();
  }

  /** view: where the route's answer is known already. warnings: what there was to say of the videos. */
  async show(run, view = null, warnings = "") {
    this.run = run;
    try {
      const found = view ?? (await look("evaluation", { run }));
      if (this.run !== run) return;
      say(this.message, retell(warnings));
      this.body.hidden = false;
      this.draw(found);
    } catch (refused) {
      if (this.run !== run) return;
      this.body.hidden = true;
      say(this.message, refused.message);
    }
  }

  draw(view) {
    this.view = view;
    // A version that did not check both ends of a video knows only its score.
    const figure = view.obey ?? view.accuracy;
    const [base, lora] = [figure.base, figure.lora].map(({ value }) => percent(value));
    say(this.result, view.obey ? t`${base} obey before, ${lora} with LoRA` : t`${base} score at least ${view.tau} before, ${lora} with LoRA`);
    this.result.className = `sa-result ${{ better: "sa-good", worse: "sa-poor" }[view.verdict] ?? ""}`;
    fill(this.sure, sure(figure));
    const scorable = [view.invalid.base, view.invalid.lora].map(({ value }) => percent(1 - value));
    const day = new Date(view.changed * 1000).toLocaleString(language(), { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
    const facts = [
      t`${scorable[0]} could be scored before, ${scorable[1]} with LoRA.`,
      t`${view.prompts} prompts, ${view.videos} videos each way, from the same noise.`,
      view.lora && (view.strength ?? 1) !== 1 ? t`LoRA ${view.lora} at strength ${view.strength}, ${day}` : view.lora ? t`LoRA ${view.lora}, ${day}` : day,
    ];
    say(this.facts, facts.join(" "));
    this.report.hidden = !view.page;
    this.report.href = reportUrl(this.run);
    const chosen = this.order.value;
    fill(
      this.order,
      Object.entries(ORDERS).map(([name, { words }]) => html("option", { value: name }, t(words))),
      Object.entries(OUTCOMES).map(([name, words]) => {
        const number = view.pairs.filter(({ outcome }) => outcome === name).length;
        return html("option", { value: name, disabled: !number }, `${t(words)} (${number})`);
      }),
    );
    if (chosen) this.order.value = chosen;
    this.fill();
  }

  fill() {
    const chosen = this.order.value;
    const pairs = this.view.pairs
      .filter(({ outcome }) => chosen in ORDERS || outcome === chosen)
      .sort((ORDERS[chosen] ?? ORDERS.changed).by);
    say(this.count, pairs.length === 1 ? t("1 pair") : t`${pairs.length} pairs`);
    this.scroll.scrollTop = 0;
    this.grid.show(pairs.map((pair) => this.row(pair)));
  }

  row({ prompt, seed, base, lora }) {
    const text = this.view.texts[prompt] ?? prompt;
    const side = (name, sample) => ({ url: `${videoUrl(this.run, sample)}&changed=${this.view.changed}`, name, ...standing(sample) });
    return {
      key: JSON.stringify([prompt, seed]),
      text: t`${text} (seed ${seed})`,
      about: t`Play or stop base and with LoRA together: ${text}, seed ${seed}`,
      videos: [side(t("base"), base), side(t("with LoRA"), lora)],
    };
  }
}

/** How sure the difference is. */
function sure({ difference: { value, low, high }, prompts }) {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return t`Difference ${points(value)} points; ${prompts} prompt is too few to say how sure that is.`;
  if (low === 0 && high === 0) return t("No difference: for every prompt the same share of videos obeys.");
  const [shown, from, to] = [value, low, high].map(points);
  if (low > 0 || high < 0) return t`Difference ${shown} points, 95 % interval ${from} to ${to}.`;
  return t`Difference ${shown} points, 95 % interval ${from} to ${to}: this includes 0, so it may be chance. More prompts, or longer training, would tell.`;
}
