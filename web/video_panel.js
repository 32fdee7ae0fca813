// The videos that a node is about, playing: those of its run, by prompt, or some clips.
import { openBrowser } from "./run_browser.js";
import { html, say, shield } from "./shared/dom.js";
import { retell, t } from "./shared/language.js";
import { scroller } from "./shared/scroller.js";
import { look, videoUrl, viewUrl } from "./shared/server.js";
import { mayPlay } from "./shared/video.js";
import { standing, VideoGrid } from "./shared/video_grid.js";

const MOST = 4; // videos in a row

/** show({ run, split, seeds, prompt }) or show({ clips }): what a node's `spatialalign_videos` says. */
export class VideoPanel {
  constructor() {
    this.count = html("span", { class: "sa-quiet" });
    this.playing = mayPlay();
    this.play = html("button", { type: "button", class: "sa-button", onclick: () => this.toggle() }, this.playWords());
    this.browse = html("button", { type: "button", class: "sa-button", onclick: () => openBrowser(this.chosen.run, () => {}) }, t("Browse videos and pairs"));
    this.message = html("p", { class: "sa-message sa-error", role: "status" });
    this.scroll = scroller(t("Videos"));
    this.grid = new VideoGrid({ label: t("Videos"), scroller: this.scroll, plays: true });
    this.scroll.append(this.grid.element);
    const head = html("div", { class: "sa-videos-head" }, this.play, this.count, this.browse);
    this.element = shield(html("section", { class: "spatialalign sa-video-panel", "aria-label": t("Videos") }, head, this.message, this.scroll));
  }

  close() {
    this.grid.close();
  }

  async show(chosen) {
    this.chosen = chosen;
    this.browse.hidden = !chosen.run;
    if (chosen.clips) return this.put(ofClips(chosen.clips));
    try {
      const view = await look("samples", { run: chosen.run });
      if (this.chosen === chosen) this.put(ofRun(view, chosen));
    } catch (refused) {
      if (this.chosen === chosen) this.put([], refused.message);
    }
  }

  put(groups, message = "") {
    const most = Math.max(1, ...groups.map(({ videos }) => videos.length));
    const columns = Math.min(most, MOST);
    const rows = groups.flatMap(({ text, videos }) => inRows(videos, columns).map((some) => row(text, some)));
    const number = groups.reduce((sum, { videos }) => sum + videos.length, 0);
    say(this.message, message);
    say(this.count, message ? "" : number === 1 ? t("1 video") : t`${number} videos`);
    this.play.hidden = !number;
    this.grid.show(rows, columns);
  }

  toggle() {
    this.playing = !this.playing;
    this.grid.play(this.playing);
    say(this.play, this.playWords());
  }

  playWords() {
    return this.playing ? t("Pause") : t("Play");
  }
}

function row(text, videos) {
  const names = videos.map(({ name, words }) => `${name} ${words}`).join(t(", "));
  return { key: videos.map(({ url }) => url).join(" "), text, about: t`Play or stop together: ${text}, ${names}`, videos };
}

function inRows(videos, columns) {
  const rows = [];
  for (let start = 0; start < videos.length; start += columns) rows.push(videos.slice(start, start + columns));
  return rows;
}

/** Those of the prompts and seeds that the node is about; see the route "samples". */
function ofRun({ run, set, prompts }, { split, seeds, prompt }) {
  return prompts
    .filter((each) => (!split || each.split === split) && (!prompt || each.id === prompt))
    .map(({ id, text, samples }) => ({
      text,
      videos: samples
        .filter(({ seed }) => !seeds || seed < seeds)
        .sort((one, other) => one.seed - other.seed)
        .map((sample) => ({
          url: `${videoUrl(run, { set, prompt: id, seed: sample.seed })}&changed=${sample.changed}`,
          name: t`seed ${sample.seed}`,
          ...standing(sample),
        })),
    }))
    .filter(({ videos }) => videos.length);
}

/** Clips without a run: { video, dsr, obeys, reason, best }; a score only where there is one. */
function ofClips(clips) {
  const videos = clips.map(({ video, best, ...scored }, number) => {
    const name = clips.length === 1 ? "" : best ? t`video ${number + 1}, the best` : t`video ${number + 1}`;
    const told = "dsr" in scored ? standing(scored) : { words: "", kind: "sa-quiet" };
    return { url: video ? viewUrl(video) : "", name, ...told };
  });
  return [{ text: "", videos: videos.filter(({ url }) => url) }];
}
