// Videos that cost nothing until they are looked at.
import { html } from "./dom.js";

const NEAR = "200px";
let watcher = null;

/** Whether videos may begin to play by themselves; where the artist wants a page that stays still they may not. */
export function mayPlay() {
  return !matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** A silent, looping video that is loaded only near the window's view and let go of when it leaves it. plays: as soon as it is loaded. */
export function lazyVideo(url, label, plays = false) {
  const video = html("video", { class: "sa-video", loop: true, playsinline: true, preload: "none", "aria-label": label });
  video.muted = true;
  video.saUrl = url;
  video.saPlays = plays;
  watcher ??= new IntersectionObserver(turn, { rootMargin: NEAR });
  watcher.observe(video);
  return video;
}

/** Let go of a video that is taken out of the page. */
export function release(video) {
  watcher?.unobserve(video);
  unload(video);
}

/** Play videos together from their start, or stop them all when one plays. Returns whether they play now. */
export function toggle(videos, playing = videos.every((video) => video.paused)) {
  for (const video of videos) {
    video.saPlays = playing;
    if (playing) {
      load(video);
      video.currentTime = 0;
      play(video);
    } else {
      video.pause();
    }
  }
  return playing;
}

/** Play on those that stopped because they were moved in the page. */
export function goOn(videos) {
  for (const video of videos) if (video.saPlays && video.paused && video.hasAttribute("src")) play(video);
}

function turn(entries) {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) {
      unload(target);
    } else if (target.isConnected) {
      load(target);
      if (target.saPlays) play(target);
    }
  }
}

function play(video) {
  video.play().catch(() => {}); // taken out of the page before it began
}

function load(video) {
  if (video.hasAttribute("src")) return;
  video.preload = "metadata";
  video.src = video.saUrl;
}

function unload(video) {
  if (!video.hasAttribute("src")) return;
  video.pause();
  video.removeAttribute("src");
  video.load(); // this is what frees the decoder and its pictures
}
