// The pack's one extension. ComfyUI loads every .js file below this folder; only this one does anything by itself.
import { app } from "../../scripts/app.js";
import { showText } from "./node_text.js";
import { showScore } from "./score_node.js";
import { openTab } from "./sidebar.js";
import { attachTraining } from "./training_node.js";

const PREFIX = "SpatialAlign_";
const TRAINER = "SpatialAlign_TrainLora";

app.registerExtension({
  name: "SpatialAlign",
  setup() {
    let close = null;
    app.extensionManager?.registerSidebarTab?.({
      id: "spatialalign",
      icon: "pi pi-chart-line",
      title: "SpatialAlign",
      label: "Spatial", // below the icon there is room for a short word
      tooltip: "SpatialAlign: trainings and their videos",
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
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith(PREFIX)) return;
    if (node.comfyClass === TRAINER) attachTraining(node);
    const before = node.onExecuted;
    node.onExecuted = function (output) {
      before?.apply(this, arguments);
      // The chart says the same and more.
      if (!showScore(this, output)) showText(this, [output?.text ?? []].flat().join("\n"));
    };
  },
});
