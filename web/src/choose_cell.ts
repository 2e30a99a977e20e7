// The Score Sweep node: choose a cell by clicking on it, instead of typing its number.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { CellGrid } from "./cell_grid";
import { nodeAt } from "./nodes";
import { addStyle } from "./style";
import { NOT_CHOSEN, type SweepCells, cellsOf } from "./sweep_cells";

const LEAST_HEIGHT_PX = 340;
/** Beyond that, for the grid; wider the node must not get, or it covers its neighbour. */
const MORE_HEIGHT_PX = 160;
const grids = new WeakMap<ComfyNode, CellGrid>();

app.registerExtension({
  name: "LoRAKiln.ChooseCell",

  nodeCreated(node) {
    const choice = choiceOf(node);
    if (!choice) return;
    const usual = node.onExecuted;
    node.onExecuted = function (this: ComfyNode, output: unknown) {
      usual?.call(this, output);
      show(node, output);
    };
    const chosenIn = chosenInOf(node);
    // A click writes it, and a person has no use for it.
    if (chosenIn) chosenIn.hidden = true;
    // Written into the field, the number is marked in the grid, too.
    const changed = choice.callback;
    choice.callback = function (this: unknown, ...told) {
      const result = changed?.apply(this, told);
      // The numbers of the next sweep may be other ones.
      if (chosenIn) chosenIn.value = grids.get(node)?.name ?? "";
      grids.get(node)?.mark();
      return result;
    };
  },

  // Another tab's graph, or one from the history: its nodes are new, its run is not.
  onNodeOutputsUpdated(outputs) {
    for (const [place, output] of Object.entries(outputs)) {
      const node = cellsOf(output) && nodeAt(place);
      if (node) show(node, output);
    }
  },
});

/** The field of a Score Sweep node; without widgets of the page it still does the work. */
function choiceOf(node: ComfyNode): ComfyWidget | undefined {
  if (node.comfyClass !== "KilnScoreSweep" || !node.addDOMWidget) return undefined;
  return node.widgets?.find((widget) => widget.name === "choice");
}

/** The field that tells in which sweep the choice was made. */
function chosenInOf(node: ComfyNode): ComfyWidget | undefined {
  return node.widgets?.find((widget) => widget.name === "chosen_in");
}

function show(node: ComfyNode, output: unknown): void {
  const [sweep, choice] = [cellsOf(output), choiceOf(node)];
  if (!sweep || !choice) return;
  takeOver(sweep, choice, chosenInOf(node));
  (grids.get(node) ?? addGrid(node, choice)).show(sweep);
}

/** A choice of an earlier sweep has another number here, unless somebody chose meanwhile. */
function takeOver(sweep: SweepCells, choice: ComfyWidget, chosenIn?: ComfyWidget): void {
  const [number, made] = sweep.choice?.asked ?? [NOT_CHOSEN, ""];
  const isMine = choice.value === number && chosenIn?.value === made;
  if (!sweep.choice || !chosenIn || !made || made === sweep.name || !isMine) return;
  choice.value = sweep.choice.cell;
  chosenIn.value = sweep.choice.cell >= 0 ? sweep.name : "";
}

/** Only a run has cells to show: until then the node is as small as any other. */
function addGrid(node: ComfyNode, choice: ComfyWidget): CellGrid {
  addStyle();
  const grid = new CellGrid({
    choice: () => (typeof choice.value === "number" ? choice.value : NOT_CHOSEN),
    chosenIn: () => String(chosenInOf(node)?.value ?? ""),
    choose(number) {
      choice.value = number;
      choice.callback?.(number, app.canvas, node);
      node.graph?.setDirtyCanvas(true, true);
    },
    locked: () =>
      node.inputs?.some((input) => input.name === "choice" && input.link != null)
        ? "The choice comes in by a link: take the link away to choose here."
        : "",
    url: (route) => api.apiURL(route),
  });
  // Neither in a saved workflow nor in what is queued: only the number is.
  const widget = node.addDOMWidget?.("kiln_cells", "KILN_CELLS", grid.root, {
    serialize: false,
    getMinHeight: () => LEAST_HEIGHT_PX,
  });
  if (widget) widget.serialize = false;
  const [, height] = node.computeSize();
  node.setSize([node.size[0], Math.max(node.size[1], height + MORE_HEIGHT_PX)]);
  grids.set(node, grid);
  return grid;
}
