// Menu entries that save a dataset or a finished run as one zip archive.

import { app } from "../../../scripts/app.js";
import { broughtBy, nodeAt, whenExecuted, widgetOf } from "./nodes";
import { download } from "./server";

/** What a training brought; the name of its run, with the number. */
interface Trained { run: string }

const runs = new WeakMap<ComfyNode, string>();
const WITH_FOLDER = "Download dataset as zip";

app.registerExtension({
  name: "LoRAKiln.Downloads",

  nodeCreated(node) {
    if (node.comfyClass !== "KilnTrainLora") return;
    whenExecuted(node, (output) => remember(node, output));
  },

  onNodeOutputsUpdated(outputs) {
    for (const [place, output] of Object.entries(outputs)) {
      const node = broughtBy<Trained>(output, "kiln_train") && nodeAt(place);
      if (node) remember(node, output);
    }
  },

  getNodeMenuItems(node) {
    if (node.comfyClass === "KilnLoadImageFolder") {
      const folder = String(widgetOf(node, "folder")?.value);
      return [{ content: WITH_FOLDER, callback: () => ofFolder(folder) }];
    }
    if (node.comfyClass === "KilnCurateImages") {
      const name = String(widgetOf(node, "name")?.value ?? "").trim();
      return [{ content: WITH_FOLDER, callback: () => ofFolder(`input/kiln/${name}`) }];
    }
    const run = runs.get(node);
    if (node.comfyClass !== "KilnTrainLora" || run === undefined) return [];
    return [
      { content: `Download run ${run} as zip`, callback: () => ofRun(run, false) },
      { content: `Download run ${run} with checkpoints`, callback: () => ofRun(run, true) },
    ];
  },
});

function remember(node: ComfyNode, output: unknown): void {
  const trained = broughtBy<Trained>(output, "kiln_train");
  if (trained?.run) runs.set(node, trained.run);
}

function ofFolder(folder: string): void {
  download("/kiln/download/dataset", { folder });
}

function ofRun(run: string, checkpoints: boolean): void {
  download("/kiln/download/run", { run, checkpoints: checkpoints ? "1" : "0" });
}
