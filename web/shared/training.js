// One training, followed for every panel that shows it: asks the server, never remembers anything itself.
import { hear, look } from "./server.js";
import { isActive } from "./work.js";

const SOONEST = 1000; // milliseconds between two questions
const AT_WORK = 4000; // ask so often while it works, even without an event: another process may train
const AT_REST = 20000;
const NEW_VIDEOS = 3000;

const followed = new Map(); // run -> Training

/**
 * Tell the listener how the training of a run stands, now and whenever that changes; returns a function that ends it.
 * listener({ view, looks, error, news }): view and looks as the routes answer them, null until they have; error a
 * sentence or ""; news the last event.
 */
export function follow(run, listener) {
  let training = followed.get(run);
  if (!training) followed.set(run, (training = new Training(run)));
  training.listeners.add(listener);
  if (training.view || training.error) listener(training);
  return () => {
    training.listeners.delete(listener);
    if (training.listeners.size) return;
    training.end();
    followed.delete(run);
  };
}

/** Ask again at once, after something was changed. */
export function refresh(run) {
  followed.get(run)?.soon(0);
}

class Training {
  constructor(run) {
    Object.assign(this, { run, view: null, looks: null, error: "", news: null });
    this.listeners = new Set();
    this.printed = "";
    this.asked = -Infinity;
    this.looked = -Infinity;
    this.stale = true; // the videos
    this.deaf = hear((event) => this.heard(event));
    this.seen = () => document.visibilityState === "visible" && this.soon(0);
    document.addEventListener("visibilitychange", this.seen);
    this.soon(0);
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    this.deaf();
    document.removeEventListener("visibilitychange", this.seen);
  }

  heard(event) {
    if (event.run !== this.run) return;
    this.news = event;
    if (event.video || event.ended) this.stale = true;
    this.soon(0);
  }

  /** Ask after so many milliseconds, or as soon as is polite. */
  soon(wait) {
    if (this.ended) return;
    const due = performance.now() + Math.max(wait, SOONEST - (performance.now() - this.asked), 0);
    if (this.timer && this.due <= due) return;
    clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(() => this.ask(), due - performance.now());
  }

  async ask() {
    this.timer = null;
    if (document.visibilityState === "hidden") return; // asked again when it can be seen
    this.again = this.asking; // something new came while the answer to the last question was on its way
    if (this.asking) return;
    this.asking = true;
    this.asked = performance.now();
    try {
      const view = await look("training", { run: this.run });
      const before = this.view;
      this.view = view;
      this.error = "";
      this.stale ||= before?.state !== view.state || before?.latest.held_out_score !== view.latest.held_out_score;
      if (this.stale && performance.now() - this.looked > NEW_VIDEOS) {
        this.looked = performance.now();
        this.stale = view.state === "sampling";
        this.looks = await look("looks", { run: this.run });
      }
    } catch (refused) {
      this.error = refused.message;
      if (refused.status === 404) Object.assign(this, { view: null, looks: null });
    } finally {
      this.asking = false;
    }
    if (this.ended) return;
    this.tell();
    this.soon(this.view?.at_work || isActive(this.view?.work) ? AT_WORK : AT_REST);
    if (this.stale) this.soon(NEW_VIDEOS);
    if (this.again) this.soon(0);
  }

  tell() {
    const print = JSON.stringify([this.view, this.looks, this.error, this.news?.message]);
    if (print === this.printed) return;
    this.printed = print;
    for (const listener of this.listeners) listener(this);
  }
}
