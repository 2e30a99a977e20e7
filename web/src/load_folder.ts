// The Load Image Folder node: a folder or an archive dropped on it becomes a dataset.

import { app } from "../../../scripts/app.js";
import { mayHold } from "./dropped";
import { addElement, grow, widgetOf } from "./nodes";
import { download } from "./server";
import { addStyle } from "./style";
import { UploadPanel } from "./upload_panel";

/** Room for the three buttons side by side. */
const LEAST_WIDTH_PX = 340;

app.registerExtension({
  name: "LoRAKiln.LoadFolder",

  nodeCreated(node) {
    const folder = widgetOf(node, "folder");
    if (node.comfyClass !== "KilnLoadImageFolder" || !folder || !node.addDOMWidget) return;
    addStyle();
    const panel = new UploadPanel({
      arrived({ folder: name }) {
        offer(folder, name);
        folder.value = name;
        folder.callback?.(name, app.canvas, node);
        // Other nodes have such lists, too.
        void app.refreshComboInNodes?.();
        node.graph?.setDirtyCanvas(true, true);
      },
      download: () => download("/kiln/download/dataset", { folder: String(folder.value) }),
      resized: () => grow(node),
    });
    addElement(node, "kiln_upload", panel.root, () => panel.height());
    grow(node, 0, LEAST_WIDTH_PX);
    node.onDragOver = (event) => mayHold(event);
    node.onDragDrop = (event) => {
      if (!mayHold(event)) return false;
      void panel.take(event);
      return true;
    };
  },
});

/** The list that the node came with does not know the new folder yet. */
function offer(folder: ComfyWidget, name: string): void {
  const values = folder.options?.values;
  if (Array.isArray(values) && !values.includes(name)) values.push(name);
}
