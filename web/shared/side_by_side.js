// Two videos that play in step, with one scrubber for both.
import { fill, html, say } from "./dom.js";
import { t } from "./language.js";

const APART = 0.04; // seconds that one may lag before it is put right
const STEPS = 48; // presses of an arrow key from one end to the other

/** show([{ url, title, words, kind }, ...]) plays these; none empties it. kind: class of the words, as "sa-good". */
export class SideBySide {
  constructor() {
    this.stage = html("div", { class: "sa-stage" });
    this.play = html("button", { type: "button", class: "sa-button", title: t("Play or pause (Space)"), onclick: () => this.toggle() }, t("Play"));
    this.scrub = html("input", { type: "range", class: "sa-scrub", min: 0, max: 1, step: "any", value: 0, "aria-label": t("Place in both videos") });
    this.scrub.addEventListener("input", () => this.seek(Number(this.scrub.value)));
    this.scrub.addEventListener("keydown", (event) => this.key(event));
    this.bar = html("div", { class: "sa-play-bar" }, this.play, this.scrub);
    this.element = html("div", { class: "sa-together" }, this.stage, this.bar);
    this.videos = [];
    this.print = "";
    this.bar.hidden = true;
  }

  show(sides) {
    const print = JSON.stringify(sides.map(({ url }) => url));
    if (print !== this.print) {
      this.unload();
      this.print = print;
      this.videos = sides.map(({ url, title }) => this.video(url, title));
      this.captions = sides.map(() => html("span", { class: "sa-caption" }));
      fill(this.stage, sides.map((_, index) => html("div", { class: "sa-side" }, this.videos[index], this.captions[index])));
      this.scrub.value = 0;
      this.playing = sides.length > 0 && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    }
    sides.forEach(({ title, words, kind, about }, index) => {
      this.captions[index].title = about ?? "";
      fill(this.captions[index], title, html("b", { class: kind }, words));
    });
    this.bar.hidden = !sides.length;
    this.turn();
  }

  close() {
    this.show([]);
  }

  toggle() {
    this.playing = !this.playing;
    this.turn();
  }

  /** Seconds that all of them have. */
  get length() {
    return Math.min(...this.videos.map(({ duration }) => (Number.isFinite(duration) ? duration : Infinity)));
  }

  video(url, title) {
    const video = html("video", { class: "sa-video", playsinline: true, preload: "auto", src: url, "aria-label": title });
    video.muted = true;
    video.addEventListener("loadeddata", () => this.turn());
    video.addEventListener("error", () => video.hasAttribute("src") && this.broken(video));
    return video;
  }

  broken(video) {
    video.replaceWith(html("p", { class: "sa-broken" }, t("This video cannot be played; it may have been deleted.")));
    this.videos = this.videos.filter((each) => each !== video);
    this.turn();
  }

  /** Begin or end playing; the first waits until all of them can. */
  turn() {
    say(this.play, this.playing ? t("Pause") : t("Play"));
    const ready = this.videos.length > 0 && this.videos.every((video) => video.readyState >= 2);
    if (!this.playing || !ready) {
      for (const video of this.videos) video.pause();
      cancelAnimationFrame(this.frame);
      this.frame = null;
      return;
    }
    for (const video of this.videos) video.play().catch(() => {}); // taken out of the page before it began
    this.frame ??= requestAnimationFrame(() => this.keep());
  }

  /** Once a frame while they play: the first leads, the others keep up, all begin again together. */
  keep() {
    this.frame = null;
    const [lead, ...others] = this.videos;
    if (!this.playing || !lead?.isConnected) return;
    const { length } = this;
    if (lead.ended || lead.currentTime >= length - 0.01) {
      this.seek(0);
      for (const video of this.videos) video.play().catch(() => {});
    } else {
      for (const video of others) {
        if (!video.seeking && Math.abs(video.currentTime - lead.currentTime) > APART) video.currentTime = lead.currentTime;
      }
      if (Number.isFinite(length)) this.scrub.value = lead.currentTime / length;
    }
    this.frame = requestAnimationFrame(() => this.keep());
  }

  seek(share) {
    const { length } = this;
    if (!Number.isFinite(length)) return;
    for (const video of this.videos) video.currentTime = share * length;
  }

  key(event) {
    const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    this.playing = false;
    this.turn();
    this.scrub.value = Math.max(0, Math.min(0.999, Number(this.scrub.value) + way / STEPS));
    this.seek(Number(this.scrub.value));
  }

  unload() {
    this.playing = false;
    this.turn();
    for (const video of this.videos) {
      video.removeAttribute("src");
      video.load(); // this is what frees the decoder and its pictures
    }
    this.videos = [];
  }
}
