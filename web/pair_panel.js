// Two videos of a prompt side by side, the pairs that one of them is in, and the artist's word on each pair.
import { fill, html, say } from "./shared/dom.js";
import { mark, retell, t } from "./shared/language.js";
import { LongList } from "./shared/long_list.js";
import { scroller } from "./shared/scroller.js";
import { change, look, videoUrl } from "./shared/server.js";
import { SideBySide } from "./shared/side_by_side.js";
import { score } from "./shared/words.js";

const RULINGS = [
  ["keep", mark("Keep"), "k", mark("Use this pair whatever the scores say (K)")],
  ["drop", mark("Drop"), "d", mark("Never use this pair (D)")],
  ["", mark("As scored"), "a", mark("Forget what was decided by hand (A)")],
];
const SAID = {
  keep: { short: mark("kept by hand"), whole: mark("Kept by hand.") },
  drop: { short: mark("dropped by hand"), whole: mark("Dropped by hand.") },
};

/** show({ run, set, prompt, seed }), or null. ruled(): a pair was kept or dropped; refused(error). */
export class PairPanel {
  constructor({ ruled, refused }) {
    Object.assign(this, { ruled, refused, prompt: null, pairs: [], pair: null });
    this.text = html("p", { class: "sa-pair-text" });
    this.players = new SideBySide();
    this.state = html("p", { class: "sa-pair-state", role: "status" });
    this.beside = html("select", { class: "sa-select", "aria-label": t("The other video"), onchange: () => this.put(this.pair.winner, Number(this.beside.value)) });
    this.swap = html("button", { type: "button", class: "sa-button", title: t("The other one is better (S)"), onclick: () => this.turn() }, t("Swap"));
    this.buttons = RULINGS.map(([ruling, words, , title]) =>
      html("button", { type: "button", class: "sa-button", title: t(title), "aria-pressed": "false", onclick: () => this.rule(ruling) }, t(words)),
    );
    this.ruling = html("div", { class: "sa-buttons", role: "group", "aria-label": t("Decide on this pair") }, this.buttons, this.swap, this.beside);
    this.scroll = scroller(t("Pairs with this video"));
    this.list = new LongList({ rowHeight: 52, scroller: this.scroll, label: t("Pairs"), render: (pair) => this.row(pair) });
    this.scroll.append(this.list.element);
    this.hint = html("p", { class: "sa-quiet" }, t("Press a video to play it beside its counterpart."));
    this.body = html("div", { class: "sa-pair-body" }, this.text, this.players.element, this.state, this.ruling, this.scroll);
    this.element = html("section", { class: "sa-pair-panel", "aria-label": t("Side by side") }, this.hint, this.body);
    this.show(null);
  }

  close() {
    this.show(null);
    this.list.close();
  }

  async show(chosen) {
    this.hint.hidden = chosen !== null;
    this.body.hidden = chosen === null;
    this.prompt = chosen?.prompt ?? null;
    this.pairs = [];
    this.pair = null;
    if (!chosen) return this.players.show([]);
    Object.assign(this, chosen);
    const { prompt, set, seed } = chosen;
    const own = set === "base" && prompt.split !== "held_out";
    this.ruling.hidden = !own;
    this.scroll.hidden = !own;
    // Beside what it was before training, or beside the farthest of its own prompt until the pairs are known.
    this.put(seed, own || set === "base" ? this.farthest(seed) : seed);
    if (own && (await this.load()) && this.seed === seed && this.pairs.length) this.choose(this.pairs[0]);
  }

  async load() {
    const { run, prompt, seed } = this;
    try {
      const { pairs } = await look("pairs", { run, prompt: prompt.id, seed });
      if (this.prompt?.id !== prompt.id || this.run !== run) return false;
      this.pairs = pairs;
      this.list.show(pairs, keyOf);
      return true;
    } catch (refused) {
      this.refused(refused);
      return false;
    }
  }

  farthest(seed) {
    const own = this.sample(seed)?.dsr;
    const others = this.prompt.samples.filter((each) => each.seed !== seed && Number.isFinite(each.dsr));
    const far = (each) => Math.abs(each.dsr - (own ?? 0));
    return others.reduce((best, each) => (!best || far(each) > far(best) ? each : best), null)?.seed ?? null;
  }

  sample(seed) {
    return this.prompt.samples.find((each) => each.seed === seed);
  }

  /** Show these two, the better one first, as the pair that they are, if they are one. */
  put(winner, loser, told = "") {
    const known = (one, other) => this.pairs.find((each) => each.told === told && each.winner === one && each.loser === other);
    const rank = (seed) => (this.sample(seed)?.obeys ? 2 : 0) + (this.sample(seed)?.dsr ?? -1);
    const better = rank(winner) >= rank(loser);
    const [one, other] = known(winner, loser) || (better && !known(loser, winner)) ? [winner, loser] : [loser, winner];
    this.choose(known(one, other) ?? { told, winner: one, loser: other, ruling: "", text: this.prompt.text });
  }

  choose(pair) {
    this.pair = pair;
    this.draw();
  }

  turn() {
    const { told, winner, loser, text } = this.pair;
    this.choose(this.pairs.find((each) => each.told === told && each.winner === loser && each.loser === winner) ?? { told, winner: loser, loser: winner, ruling: "", text });
  }

  draw() {
    const { pair, prompt, set } = this;
    say(this.text, pair.text || prompt.text);
    const two = set !== "base" ? [["base", pair.winner], [set, pair.winner]] : [["base", pair.winner], ["base", pair.loser]];
    this.players.show(two.filter(([, seed]) => seed !== null).map(([each, seed], index) => this.side(each, seed, index)));
    for (const [index, [ruling]] of RULINGS.entries()) this.buttons[index].setAttribute("aria-pressed", String(pair.ruling === ruling));
    const lone = pair.loser === null || pair.winner === null;
    for (const button of [...this.buttons, this.swap]) button.disabled = lone || !this.scored(pair.winner) || !this.scored(pair.loser);
    fill(
      this.beside,
      prompt.samples.filter(({ seed }) => seed !== pair.winner).map((each) => html("option", { value: each.seed }, t`beside seed ${each.seed}, ${Number.isFinite(each.dsr) ? score(each.dsr) : t("no score")}`)),
    );
    this.beside.value = String(pair.loser);
    say(this.state, this.sentence());
    for (const button of this.list.element.querySelectorAll(".sa-pair-row")) button.setAttribute("aria-current", String(button.dataset.key === keyOf(pair)));
  }

  side(set, seed, index) {
    const { pair, run, prompt } = this;
    const title = this.set === "base" ? t`seed ${seed}` : set === "base" ? t`without LoRA, seed ${seed}` : t`${set}, seed ${seed}`;
    const url = videoUrl(run, { set, prompt: prompt.id, seed });
    if (this.set !== "base") {
      const known = set === this.set ? this.sample(seed) : null;
      return { url, title, words: known ? (Number.isFinite(known.dsr) ? t`score ${score(known.dsr)}` : t("no score")) : "", about: retell(known?.reason) };
    }
    const own = this.sample(seed);
    const under = pair.margin === undefined ? own?.dsr : index ? pair.loser_score : pair.winner_score;
    const about = pair.told ? "" : (retell(own?.reason) ?? "");
    if (!Number.isFinite(under)) return { url, title, words: t("no score"), about };
    const words = pair.margin === undefined ? t`score ${score(under)}` : index ? t`loser, ${score(under)}` : t`winner, ${score(under)}`;
    const obeys = pair.margin === undefined ? own?.obeys : index ? pair.loser_obeys : pair.winner_obeys;
    return { url, title, words, kind: obeys ? "sa-good" : "sa-poor", about };
  }

  scored(seed) {
    return Number.isFinite(this.sample(seed)?.dsr);
  }

  sentence() {
    const { pair, set } = this;
    if (set !== "base") return "";
    if (this.prompt.split === "held_out") return t("Held out: only for judging, never in a pair.");
    if (SAID[pair.ruling]) return t(SAID[pair.ruling].whole);
    if (pair.margin !== undefined) {
      const apart = score(pair.margin);
      return pair.told ? t`A pair by score, ${apart} apart, under a sentence that tells of what the winner does.` : t`A pair by score, ${apart} apart.`;
    }
    for (const seed of [pair.winner, pair.loser]) {
      if (seed !== null && !this.scored(seed)) return t`Seed ${seed} is in no pair: ${retell(this.sample(seed)?.reason) ?? t("it has no score")}.`;
    }
    if (pair.loser === null || pair.winner === null) return t("There is no other video of this prompt with a score.");
    const [one, other] = [pair.winner, pair.loser].map((seed) => this.sample(seed).obeys);
    if (one && other) return t("No pair by score: both are winners. Keep it if the left one is better.");
    if (!one && !other) return t("No pair by score: both are losers. Keep it if the left one is better.");
    return t("No pair by score. Keep it if the left one is better.");
  }

  async rule(ruling) {
    const { run, prompt, pair } = this;
    const { winner, loser, told } = pair;
    try {
      await change("pairs", { run, prompt: prompt.id, winner, loser, told, ruling });
    } catch (refused) {
      return this.refused(refused);
    }
    this.ruled();
    if (!(await this.load()) || this.pair !== pair) return;
    const same = this.pairs.find((each) => each.told === told && each.winner === winner && each.loser === loser);
    this.choose(same ?? { told, winner, loser, text: pair.text, ruling: "" });
  }

  row(pair) {
    const { winner, loser, winner_score, loser_score, margin, told, text, ruling } = pair;
    const words = t`seed ${winner} (${score(winner_score)}) over seed ${loser} (${score(loser_score)})`;
    const button = html(
      "button",
      { type: "button", class: `sa-pair-row${ruling ? ` sa-${ruling}` : ""}`, "aria-current": String(keyOf(pair) === keyOf(this.pair ?? {})), onclick: () => this.choose(pair) },
      html("span", { class: "sa-pair-line" }, html("span", {}, words), html("b", {}, SAID[ruling] ? t(SAID[ruling].short) : t`${score(margin)} apart`)),
      html("span", { class: "sa-quiet sa-one-line", title: text }, told ? t`told as: ${text}` : t("the prompt's own sentence")),
    );
    button.dataset.key = keyOf(pair);
    return button;
  }

  /** What the button of this letter does; false where there is no pair to decide on. */
  press(key) {
    const index = RULINGS.findIndex(([, , letter]) => letter === key);
    const button = index < 0 ? (key === "s" ? this.swap : null) : this.buttons[index];
    if (!button || button.disabled || this.ruling.hidden || this.element.hidden || !this.pair) return false;
    button.click();
    return true;
  }
}

function keyOf({ told, winner, loser }) {
  return `${told} ${winner} ${loser}`;
}
