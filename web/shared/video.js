// Videos that cost nothing until they are looked at.
import { html } from "./dom.js";

const NEAR = "200px";
let watcher = null;

/** A silent, looping video that is loaded only near the window's view and let go of when it leaves it. */
export function lazyVideo(url, label) {
  const video = html("video", { class: "sa-video", loop: true, playsinline: true, preload: "none", "aria-label": label });
  video.muted = true;
  video.saUrl = url;
  watcher ??= new IntersectionObserver(turn, { rootMargin: NEAR });
  watcher.observe(video);
  return video;
}

/** Let go of a video that is taken out of the page. */
export function release(video) {
  watcher?.unobserve(video);
  unload(video);
}

/** Play videos together from their start, or stop them all when one plays. */
export function toggle(videos) {
  const playing = videos.some((video) => !video.paused);
  for (const video of videos) {
    if (playing) {
      video.pause();
    } else {
      load(video);
      video.currentTime = 0;
      video.play().catch(() => {}); // taken out of the page before it began
    }
  }
  return !playing;
}

function turn(entries) {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) load(target);
    else unload(target);
  }
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
