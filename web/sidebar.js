// The pack's tab in ComfyUI's sidebar: any run of the output folder, while it trains or long after.
import { openBrowser } from "./run_browser.js";
import { fill, html, say, shield } from "./shared/dom.js";
import { retell, t } from "./shared/language.js";
import { hear, look } from "./shared/server.js";
import { addStyle } from "./shared/style.js";
import { isActive, workWords } from "./shared/work.js";
import { TrainingPanel } from "./training_panel.js";

const CHOSEN = "spatialalign.run"; // remembered by the browser, so that a reload shows the same run
const OFTEN = 15000;

/** Fill the tab's element; returns a function that ends it. */
export function openTab(root) {
  addStyle();
  const panel = new TrainingPanel();
  const choice = html("select", { class: "sa-select", "aria-label": t("Run"), onchange: () => choose(choice.value) });
  const note = html("p", { class: "sa-quiet" });
  const browse = html(
    "button",
    { type: "button", class: "sa-button", onclick: () => openBrowser(panel.run, choose) },
    t("Browse videos and pairs"),
  );
  const head = html("div", { class: "sa-tab-head" }, html("h2", {}, "SpatialAlign"), choice, note, browse);
  const tab = shield(html("div", { class: "spatialalign sa-tab" }, head, panel.element));
  root.style.height = "100%";
  fill(root, tab);
  let names = [];

  function choose(run) {
    localStorage.setItem(CHOSEN, run);
    choice.value = run;
    panel.show(run || null);
  }

  async function list() {
    let runs;
    try {
      ({ runs } = await look("runs"));
    } catch (refused) {
      return say(note, refused.message);
    }
    const wanted = panel.run ?? localStorage.getItem(CHOSEN);
    names = runs.map((run) => run.name);
    // A run that was deleted stays chosen, so that the panel can say so.
    const gone = panel.run !== null && !names.includes(panel.run) ? [panel.run] : [];
    fill(
      choice,
      runs.map((run) => html("option", { value: run.name }, label(run))),
      gone.map((name) => html("option", { value: name }, `${name} (${t("deleted")})`)),
    );
    choice.hidden = !names.length && !gone.length;
    browse.hidden = choice.hidden;
    say(note, choice.hidden ? t("No runs yet. Run the Quickstart template; its results appear here.") : "");
    const working = runs.find(({ work }) => isActive(work))?.name;
    // The first list of a page: a run that is at work comes before the one that was looked at last.
    const first = panel.run === null && working;
    const best = first ? working : names.includes(wanted) || gone.length ? wanted : (names[0] ?? null);
    if (best !== null && best !== panel.run) choose(best);
    else if (panel.run !== null) choice.value = panel.run;
  }

  const begun = new Set(); // runs that a node works in now, and that were heard of
  const deaf = hear(async ({ kind, run, ended }) => {
    if (kind === "end") begun.delete(run);
    const begins = kind !== "begin" && !ended && !begun.has(run); // before, a new run has no folder yet
    if (begins) begun.add(run);
    if (begins || ended) await list();
    // What has just begun is what the artist wants to see, unless another run that is at work is being watched.
    if (begins && run !== panel.run && !panel.working && names.includes(run)) choose(run);
  });
  const timer = setInterval(() => document.visibilityState === "visible" && list(), OFTEN);
  list();
  return () => {
    clearInterval(timer);
    deaf();
    panel.close();
    fill(root);
  };
}

/** A run in the list: its name, and what is done in it, or how its training stands. */
function label({ name, state, work }) {
  const words = isActive(work) ? workWords(work) : state === "none" ? "" : retell(state);
  return words ? `${name} (${words})` : name;
}
