// Plays the two videos of a pair together: a click or Enter starts and stops, the arrow keys step both by one frame.
"use strict";
const pairs = [...document.querySelectorAll(".pair")].map((element) => {
  const videos = [...element.querySelectorAll("video")];
  const button = element.querySelector(".play");
  let wanted = false;
  let timer = 0;
  const show = () => {
    element.classList.toggle("playing", wanted);
    if (button) button.setAttribute("aria-pressed", String(wanted));
  };
  const start = () => {
    if (!wanted) return;
    for (const video of videos) {
      video.currentTime = 0;
      video.play().catch(() => {});
    }
  };
  const pair = {
    element,
    get playing() { return wanted; },
    play() { if (videos.length && !wanted) { wanted = true; show(); start(); } },
    stop() { wanted = false; clearTimeout(timer); videos.forEach((video) => video.pause()); show(); },
    step(direction) {
      pair.stop();
      const first = videos[0];
      if (!first) return;
      const time = first.currentTime + direction * Number(document.body.dataset.frame);
      for (const video of videos) video.currentTime = Math.min(Math.max(time, 0), video.duration || 0);
    },
  };
  // Both rest on their last frame for a moment, because it decides the score; then both start again.
  for (const video of videos) {
    video.addEventListener("ended", () => {
      if (videos.every((other) => other.ended)) { clearTimeout(timer); timer = setTimeout(start, 900); }
    });
  }
  const [left, right] = videos;
  if (right) left.addEventListener("timeupdate", () => {
    if (wanted && !left.ended && Math.abs(left.currentTime - right.currentTime) > 0.15) right.currentTime = left.currentTime;
  });
  element.querySelector(".stage")?.addEventListener("click", () => (wanted ? pair.stop() : pair.play()));
  element.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (direction) { pair.step(direction); event.preventDefault(); }
  });
  return pair;
});

const all = document.querySelector("#all");
if (all) {
  all.hidden = false;
  all.addEventListener("click", () => {
    const play = all.getAttribute("aria-pressed") !== "true";
    all.setAttribute("aria-pressed", String(play));
    all.textContent = play ? "Stop all" : "Play all";
    for (const pair of pairs) if (!pair.element.classList.contains("hero")) play ? pair.play() : pair.stop();
  });
}
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
for (const pair of pairs) if (pair.element.classList.contains("hero") && !still) pair.play();
