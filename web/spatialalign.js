// The pack's one extension. ComfyUI loads every .js file below this folder; only this one does anything by itself.
import { app } from "../../scripts/app.js";
import { attachWords, foldAdvanced, modelChosen } from "./auto_widgets.js";
import { attachComparison, showComparison } from "./compare_node.js";
import { translateErrors } from "./errors.js";
import { after } from "./node_hooks.js";
import { showText } from "./node_text.js";
import { attachRounds } from "./rounds_node.js";
import { showScore } from "./score_node.js";
import { learn, t } from "./shared/language.js";
import { openTab } from "./sidebar.js";
import { translateNotes } from "./template_notes.js";
import { attachTraining } from "./training_node.js";

const PREFIX = "SpatialAlign_";
const TRAINER = "SpatialAlign_TrainLora";
const LOADER = "SpatialAlign_LoadVideoModel";
const ROUNDS = "SpatialAlign_Rounds";
const COMPARE = "SpatialAlign_Compare";

app.registerExtension({
  name: "SpatialAlign",
  async init() {
    await learn(); // before anything is said
    app.ui?.settings?.addEventListener?.("Comfy.Locale.change", ({ detail }) => learn(detail.value));
  },
  setup() {
    translateErrors();
    let close = null;
    app.extensionManager?.registerSidebarTab?.({
      id: "spatialalign",
      icon: "pi pi-chart-line",
      title: "SpatialAlign",
      label: t("Spatial"), // below the icon there is room for a short word
      tooltip: t("SpatialAlign: trainings and their videos"),
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
    if (!node.comfyClass?.startsWith(PREFIX)) return;
    // Nodes 2.0 takes the picture of a node that has a video input for a video, unless told.
    node.previewMediaType ??= "image";
    foldAdvanced(node);
    attachWords(node);
    if (node.comfyClass === LOADER) after(node, "onWidgetChanged", modelChosen);
    if (node.comfyClass === TRAINER) attachTraining(node);
    if (node.comfyClass === ROUNDS) attachRounds(node);
    if (node.comfyClass === COMPARE) attachComparison(node);
    after(node, "onExecuted", (output) => {
      // The chart and the table say the same and more.
      if (!showScore(node, output) && !showComparison(node, output)) showText(node, [output?.text ?? []].flat().join("\n"));
    });
  },
});
