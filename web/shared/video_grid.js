// Videos in rows, those of one sentence beside each other. Only the rows in view are in the page; pressed, a row plays or rests.
import { html } from "./dom.js";
import { retell, t } from "./language.js";
import { LongList } from "./long_list.js";
import { goOn, lazyVideo, mayPlay, release, toggle } from "./video.js";
import { score } from "./words.js";

const WIDEST = 320; // pixels of one video
const ROOMY = 160; // from this width on, what stands below a video fits on one line
const GAP = 6;
const SHAPE = 2 / 3; // height by width of the room for a video

/**
 * show(rows): { key, text, about, videos: [{ url, name, words, kind, about }] } of each. text: above the videos, about: what
 * pressing the row does, for screen readers; name and words stand below a video, kind is the class of the words, as "sa-good".
 * scroller: the element that the rows scroll in. columns: videos in a row. plays: whether rows play from when they are seen.
 */
export class VideoGrid {
  constructor({ label, scroller, columns = 2, plays = false }) {
    Object.assign(this, { columns, plays: plays && mayPlay(), lines: 36 });
    this.list = new LongList({
      rowHeight: this.rowHeight(2 * WIDEST),
      scroller,
      label,
      render: (row) => this.row(row),
      release: (element) => element.querySelectorAll("video").forEach(release),
    });
    this.element = this.list.element;
    this.watcher = new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width) this.list.resize(this.rowHeight(contentRect.width));
    });
    this.watcher.observe(this.element);
  }

  close() {
    this.watcher.disconnect();
    this.list.close();
  }

  show(rows, columns = this.columns) {
    this.columns = columns;
    this.lines = rows.some(({ text }) => text) ? 36 : 0; // two of a sentence
    if (this.element.clientWidth) this.list.rowHeight = this.rowHeight(this.element.clientWidth);
    this.list.show(rows, ({ key }) => key);
    goOn([...this.element.querySelectorAll("video")]);
  }

  /** Play all rows from now on, or let them rest. */
  play(playing) {
    this.plays = playing;
    toggle([...this.element.querySelectorAll("video")], playing);
  }

  row({ text, about, videos }) {
    const sides = videos.map((each) => this.side(each, text));
    const players = sides.map(({ video }) => video);
    return [
      html("p", { class: "sa-prompt", title: text }, text),
      html(
        "button",
        { type: "button", class: "sa-pair", "aria-label": about, title: t("Play, or stop"), onclick: () => toggle(players.filter((each) => each.isConnected)) },
        sides.map(({ element }) => element),
      ),
    ];
  }

  side({ url, name, words, kind, about }, text) {
    const video = lazyVideo(url, `${name}: ${text}`, this.plays);
    video.addEventListener("error", () => {
      if (!video.hasAttribute("src")) return; // let go of on purpose
      release(video);
      video.replaceWith(html("span", { class: "sa-broken" }, t("This video cannot be played; it may have been deleted.")));
    });
    const caption = html("span", { class: "sa-caption", title: about }, name, html("b", { class: kind }, words));
    return { video, element: html("span", { class: "sa-side" }, video, caption) };
  }

  /** The sentence, the videos, and what stands below them. */
  rowHeight(width) {
    const side = Math.min(WIDEST, (width - GAP * this.columns) / this.columns);
    return Math.round(this.lines + side * SHAPE + 18 * (side < ROOMY ? 2 : 1) + 18);
  }
}

/** How a scored video stands: words, their kind, and in a sentence why. Of { dsr, obeys, reason } of the server. */
export function standing({ dsr, obeys, reason }) {
  const why = retell(reason);
  if (!Number.isFinite(dsr)) return { words: reason && reason !== "not scored yet" ? t("no score") : t("not scored"), kind: "sa-quiet", about: why };
  const mark = obeys ? "\u2713" : "\u2717";
  const about = obeys ? t("obeys its sentence") : why ? t`does not obey its sentence: ${why}` : t("does not obey its sentence");
  return { words: `${mark} ${t`score ${score(dsr)}`}`, kind: obeys ? "sa-good" : "sa-poor", about };
}
