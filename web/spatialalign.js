// The pack's one extension. ComfyUI loads every .js file below this folder; only this one does anything by itself.
import { app } from "../../scripts/app.js";
import { attachWords, foldAdvanced, modelChosen } from "./auto_widgets.js";
import { attachComparison, showComparison } from "./compare_node.js";
import { showErrors } from "./errors.js";
import { attachEvaluation, showEvaluation } from "./evaluation_node.js";
import { after } from "./node_hooks.js";
import { dropProgress, showText } from "./node_text.js";
import { attachOutdated, rememberQueued } from "./outdated.js";
import { attachPromptList } from "./prompt_set_node.js";
import { attachRounds } from "./rounds_node.js";
import { showScore } from "./score_node.js";
import { attachHostReading, attachReading } from "./sentence_node.js";
import { learn, t } from "./shared/language.js";
import { attachShownAgain, rememberOutputs } from "./shown_again.js";
import { openTab } from "./sidebar.js";
import { translateNotes } from "./template_notes.js";
import { attachTraining } from "./training_node.js";
import { attachVideos, showVideos } from "./video_node.js";

const PREFIX = "SpatialAlign_";
const TRAINER = "SpatialAlign_TrainLora";
const LOADER = "SpatialAlign_LoadVideoModel";
const ROUNDS = "SpatialAlign_Rounds";
const COMPARE = "SpatialAlign_Compare";
const PROMPTS = "SpatialAlign_PromptSet";
const EVALUATE = "SpatialAlign_Evaluate";

app.registerExtension({
  name: "SpatialAlign",
  async init() {
    showErrors();
    await learn(); // before anything is said
    app.ui?.settings?.addEventListener?.("Comfy.Locale.change", ({ detail }) => learn(detail.value));
  },
  setup() {
    rememberQueued();
    rememberOutputs(PREFIX);
    let close = null;
    app.extensionManager?.registerSidebarTab?.({
      id: "spatialalign",
      icon: "pi pi-chart-line",
      title: "SpatialAlign",
      label: t("Spatial"), // below the icon there is room for a short word
      tooltip: t("SpatialAlign: training runs and their videos"),
      type: "custom",
      render(root) {
        close?.();
        close = openTab(root);
      },
      destroy() {
        close?.();
        close = null;
      },
    });
  },
  beforeConfigureGraph: translateNotes,
  nodeCreated(node) {
    if (node.subgraph) attachHostReading(node, ({ comfyClass }) => comfyClass?.startsWith(PREFIX));
    if (!node.comfyClass?.startsWith(PREFIX)) return;
    foldAdvanced(node);
    attachWords(node);
    if (node.comfyClass === LOADER) after(node, "onWidgetChanged", modelChosen);
    if (node.comfyClass === TRAINER) attachTraining(node);
    if (node.comfyClass === ROUNDS) attachRounds(node);
    if (node.comfyClass === COMPARE) attachComparison(node);
    if (node.comfyClass === PROMPTS) attachPromptList(node);
    if (node.comfyClass === EVALUATE) attachEvaluation(node);
    attachReading(node);
    attachVideos(node);
    attachShownAgain(node, (output) => show(node, output));
    after(node, "onExecuted", (output) => show(node, output));
    attachOutdated(node);
  },
});

/** What a node of ours shows of its output. */
function show(node, output) {
  dropProgress(node);
  showVideos(node, output);
  // The chart, the table and the evaluation say the same and more.
  const told = showScore(node, output) || showComparison(node, output) || showEvaluation(node, output);
  if (!told) showText(node, [output?.text ?? []].flat().join("\n"));
}
