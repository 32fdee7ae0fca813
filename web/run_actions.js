// What can be done with a run as a whole: its report, note, name, copies, zip, room, and the bin.
import { app } from "../../scripts/app.js";
import { resultWords } from "./run_list.js";
import { fill, html, say } from "./shared/dom.js";
import { ask, choice, field } from "./shared/form.js";
import { changeNodes, nodesNaming } from "./shared/open_nodes.js";
import { language, mark, t } from "./shared/language.js";
import { change, look, reportUrl, zipUrl } from "./shared/server.js";
import { bytes, duration } from "./shared/words.js";

const KINDS = [["videos", mark("videos")], ["latents", mark("latents")], ["checkpoints", mark("checkpoints")], ["lora", mark("LoRA")], ["other", mark("other")]];
const SHARED = {
  report: mark("report"),
  lora: mark("LoRA"),
  scores: mark("prompts, scores, training log and note"),
  comparisons: mark("comparisons"),
  workflow: mark("the workflow that made it"),
  videos: mark("videos"),
};
const FREED = {
  unused: mark("Latents of held-out, evaluated and compared videos"),
  training: mark("Latents of the training videos"),
  pairs: mark("Exported pairs, with their copies of latents"),
  checkpoints: mark("Checkpoints"),
};

/** show({ run, sizes, bin }), as RunList tells. moved(name): the run has this name now, null: it is in the bin. */
export class RunActions {
  constructor({ moved, changed, tell }) {
    Object.assign(this, { moved, changed, tell, run: null });
    this.words = html("p", { class: "sa-quiet sa-run-words" });
    this.report = html("a", { class: "sa-button sa-wanted", target: "_blank", rel: "noopener" }, t("Open report"));
    this.workflow = this.button(t("Open workflow"), t("Load the workflow that made this run onto the canvas"), () => this.openWorkflow());
    this.own = [
      this.button(t("Note…"), t("Write down what this run is about"), () => this.note()),
      this.button(t("Rename…"), t("Give this run another name"), () => this.rename()),
      this.button(t("Duplicate…"), t("A new run with the same prompts and settings"), () => this.duplicate()),
      this.button(t("Share…"), t("Download this run as a zip"), () => this.share()),
      this.button(t("Free space…"), t("Delete latents and checkpoints that are no longer needed"), () => this.free()),
      this.button(t("Delete…"), t("Move this run to the bin"), () => this.delete()),
    ];
    this.bin = this.button(t("Bin"), t("Restore deleted runs, or delete them for good"), () => this.openBin());
    this.element = html("div", { class: "sa-run-actions" }, this.words, html("div", { class: "sa-buttons" }, this.report, this.workflow, this.own, this.bin));
    this.show({});
  }

  button(words, title, onclick) {
    return html("button", { type: "button", class: "sa-button", title, onclick }, words);
  }

  show({ run = null, sizes = null, bin = null }) {
    this.run = run;
    this.report.hidden = !run?.report;
    if (run?.report) this.report.href = reportUrl(run.name);
    this.workflow.hidden = !run?.workflow;
    for (const button of this.own) button.disabled = !run;
    this.bin.hidden = !bin?.runs;
    if (bin?.runs) say(this.bin, t`Bin (${bin.runs}, ${bytes(bin.bytes)})`);
    const parts = sizes ? KINDS.filter(([kind]) => sizes[kind]).map(([kind, words]) => `${t(words)} ${bytes(sizes[kind])}`) : [];
    const result = run?.result && t`held-out videos that obey: ${resultWords(run.result)}`;
    const whole = sizes && t`${bytes(sizes.total)} on disk: ${parts.join(t(", "))}`;
    fill(this.words, [result, whole].filter(Boolean).join(t("; ")), run?.note && html("q", { class: "sa-note" }, run.note));
  }

  async note() {
    const { name, note } = this.run;
    const { input, label } = field(t("What this run is about; found by the search, and shared with the run"), note, { lines: 5 });
    const work = () => change("note", { run: name, note: input.value });
    if (await ask({ title: t`Note on ${name}`, body: label, action: t("Keep note"), work })) this.changed();
  }

  async rename() {
    const { name } = this.run;
    const { input, label } = field(t("New name"), name);
    const nodes = nodesNaming(name);
    const count = nodes.length === 1 ? t("1 open node names this run") : t`${nodes.length} open nodes name this run`;
    const follow = choice(t("Change the open nodes too"), { checked: true, about: count });
    const listed = (await this.uses()).filter(({ kind }) => kind === "list" || kind === "link").map((use) => use.name);
    const loras = choice(t("Rename its LoRAs on Load LoRA's list too"), { about: listed.join(t(", ")) });
    const saved = html("p", { class: "sa-quiet" }, t("Saved workflows go on naming the old run, and would begin it anew."));
    const answer = await ask({
      title: t`Rename ${name}`,
      body: [label, nodes.length > 0 && follow.label, listed.length > 0 && loras.label, saved],
      action: t("Rename"),
      work: () => change("rename", { run: name, name: input.value, loras: loras.box.checked }),
    });
    if (!answer) return;
    if (follow.box.checked) changeNodes({ [name]: answer.name }, answer.loras);
    if (Object.keys(answer.loras).length) app.refreshComboInNodes?.();
    this.moved(answer.name);
  }

  async duplicate() {
    const { name } = this.run;
    const { input, label } = field(t("Name of the new run"), t`${name} copy`);
    const videos = choice(t("With its videos, tracks and scores"), { about: t("They take no more room where the disk can share files between folders.") });
    const about = html("p", { class: "sa-quiet" }, t("Prompts, note and workflow are copied; LoRA, pairs and report are not."));
    const work = () => change("duplicate", { run: name, name: input.value, videos: videos.box.checked });
    const answer = await ask({ title: t`Duplicate ${name}`, body: [label, videos.label, about], action: t("Duplicate"), work });
    if (answer) this.moved(answer.name);
  }

  async share() {
    const { name } = this.run;
    const { sizes, usual } = await this.known("share");
    if (!sizes) return;
    const boxes = Object.entries(SHARED).map(([part, words]) => {
      const about = sizes[part] ? bytes(sizes[part]) : t("this run has none");
      return { part, ...choice(t(words), { checked: sizes[part] > 0 && usual.includes(part), disabled: !sizes[part], about }) };
    });
    const work = () => {
      const parts = boxes.filter(({ box }) => box.checked).map(({ part }) => part);
      if (!parts.length) throw new Error(t("Choose what is to be in the zip."));
      html("a", { href: zipUrl(name, parts), download: `${name}.zip` }).click();
      return true;
    };
    await ask({ title: t`Share ${name} as a zip`, body: boxes.map(({ label }) => label), action: t("Download"), work });
  }

  async free() {
    const { name } = this.run;
    const { parts } = await this.known("slim");
    if (!parts) return;
    const boxes = parts.filter((part) => part.bytes).map((part) => ({ ...part, ...choice(`${t(FREED[part.name])}, ${bytes(part.bytes)}`, { checked: part.name === "unused", about: costs(part) }) }));
    const about = boxes.length ? t("Videos, scores and LoRAs stay, and what is up to date stays so.") : t("There is nothing to free: no latents, no pairs, no checkpoints.");
    const work = () => {
      const chosen = boxes.filter(({ box }) => box.checked).map((each) => each.name);
      if (!chosen.length) throw new Error(t("Choose what is to be deleted."));
      return change("slim", { run: name, parts: chosen });
    };
    const action = boxes.length ? t("Delete these for good") : null;
    const answer = await ask({ title: t`Free space in ${name}`, body: [boxes.map(({ label }) => label), html("p", { class: "sa-quiet" }, about)], action, work, danger: true });
    if (!answer) return;
    this.tell(t`${bytes(answer.bytes)} are free now.`);
    this.changed();
  }

  async delete() {
    const { name } = this.run;
    const uses = await this.uses();
    const listed = uses.filter(({ kind }) => kind === "list" || kind === "link");
    const loras = choice(t("Take its LoRAs off Load LoRA's list too"), { about: listed.map((use) => use.name).join(t(", ")) });
    const nodes = nodesNaming(name);
    const open = nodes.length > 0 && html("li", {}, t`Open nodes name this run (${nodes.length}); queued again, they would begin it anew.`);
    const list = html("ul", { class: "sa-uses" }, uses.map((use) => html("li", {}, useWords(use))), open);
    const work = () => change("delete", { run: name, loras: loras.box.checked });
    const about = html("p", {}, t("The run goes to the bin, from where it can be restored. Room is free when the bin is emptied."));
    const answer = await ask({ title: t`Delete ${name}`, body: [about, list, listed.length > 0 && loras.label], action: t("Move to the bin"), work, danger: true });
    if (!answer) return;
    await this.moved(null);
    this.tell(t`${answer.name} is in the bin.`);
  }

  async openBin() {
    const list = html("ul", { class: "sa-bin" });
    const empty = this.button(t("Empty the bin…"), t("Delete all of these for good"), () => sure(null));
    let all = 0; // bytes
    const load = async () => {
      const { runs } = await look("bin");
      all = runs.reduce((sum, each) => sum + each.bytes, 0);
      empty.disabled = !runs.length;
      fill(list, runs.length ? runs.map(row) : html("li", {}, t("The bin is empty.")));
      this.changed();
    };
    const row = ({ number, name, deleted, bytes: size }) =>
      html(
        "li",
        {},
        html("span", { class: "sa-one-line", title: name }, html("b", {}, name), html("small", { class: "sa-quiet" }, t`deleted ${new Date(deleted * 1000).toLocaleString(language(), { dateStyle: "medium", timeStyle: "short" })}, ${bytes(size)}`)),
        html("button", { type: "button", class: "sa-button", "aria-label": t`Restore ${name}`, onclick: () => restore(number, name) }, t("Restore")),
        html("button", { type: "button", class: "sa-button", "aria-label": t`Delete ${name} for good`, onclick: () => sure(number, name, size) }, t("Delete for good…")),
      );
    const note = html("p", { class: "sa-message", role: "status" });
    const restore = async (number, name) => {
      try {
        const answer = await change("restore", { number });
        this.tell(""); // that it is in the bin
        say(note, answer.name === name ? t`${name} is restored.` : t`${name} is restored as ${answer.name}, since its name is taken.`);
      } catch (refused) {
        say(note, refused.message);
      }
      load();
    };
    const sure = async (number, name, size) => {
      const words = number === null ? t("Empty the bin") : t`Delete ${name} for good`;
      const about = html("p", {}, t`This cannot be undone. ${bytes(number === null ? all : size)} become free.`);
      const answer = await ask({ title: words, body: about, action: t("Delete for good"), work: () => change("empty", { number }), danger: true });
      if (answer) say(note, t`${bytes(answer.bytes)} are free now.`);
      load();
    };
    await load().catch((refused) => say(note, refused.message));
    await ask({ title: t("Bin"), body: [note, list, empty] });
  }

  async openWorkflow() {
    const { workflow } = await this.known("workflow");
    if (!workflow) return;
    const { name } = this.run;
    const about = html("p", {}, t("It takes the place of the workflow on the canvas; save that one first if it matters."));
    const graph = Array.isArray(workflow.nodes);
    const work = async () => (graph ? await app.loadGraphData(workflow, true, true, name) : await app.loadApiJson(workflow, name), true);
    if (await ask({ title: t`Open the workflow of ${name}`, body: about, action: t("Open workflow"), work })) this.tell(t`The workflow of ${name} is on the canvas.`);
  }

  async uses() {
    return (await this.known("uses")).uses ?? [];
  }

  async known(route) {
    try {
      return await look(route, { run: this.run.name });
    } catch (refused) {
      this.tell(refused.message, true);
      return {};
    }
  }
}

function useWords({ kind, name, where }) {
  if (kind === "list") return t`${name} is a copy on Load LoRA's list and stays usable.`;
  if (kind === "link") return t`${name} on Load LoRA's list is a link into the run and does not work without it.`;
  if (kind === "continued") return t`The LoRA ${name} of the run ${where} was trained on from it, and is whole without it.`;
  return t`The comparison ${name} of the run ${where} names its LoRA, and can still be opened.`;
}

function costs({ name, videos, seconds, copies, step }) {
  if (name === "unused") return t("Costs nothing: they are never trained on.");
  if (name === "pairs") return t("Training again takes exporting the pairs again.");
  if (name === "checkpoints") return step === null ? t("The LoRA stays; a longer training begins at step 1.") : t`The training that stopped after step ${step} begins again.`;
  if (!videos) return t`Costs nothing while the pairs are kept: they have a copy of all ${copies}.`;
  const time = seconds ? t`Training on other pairs takes ${duration(seconds)} of encoding ${videos} videos again.` : t`Training on other pairs takes encoding ${videos} videos again.`;
  return copies ? `${time} ${t`${copies} more have a copy in the pairs.`}` : time;
}
