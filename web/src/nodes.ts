// Nodes of the graph that an extension draws something on.

import { app } from "../../../scripts/app.js";

/** `<node>`, or `<subgraph>:<node>`. */
export function nodeAt(place: string): ComfyNode | null | undefined {
  const [id, subgraph] = place.split(":").reverse();
  const root = app.rootGraph ?? app.graph;
  return (subgraph ? root?.subgraphs?.get(subgraph) : root)?.getNodeById(id ?? "");
}

export function widgetOf(node: ComfyNode, name: string): ComfyWidget | undefined {
  return node.widgets?.find((widget) => widget.name === name);
}

/** Do something whenever a node has run, after what it does anyway. */
export function whenExecuted(node: ComfyNode, act: (output: unknown) => void): void {
  const usual = node.onExecuted;
  node.onExecuted = function (this: ComfyNode, output: unknown) {
    usual?.call(this, output);
    act(output);
  };
}

/** Lay an element onto a node: neither in a saved workflow nor in what is queued. */
export function addElement(
  node: ComfyNode, name: string, root: HTMLElement, leastHeight: () => number,
): void {
  const widget = node.addDOMWidget?.(name, name.toUpperCase(), root, {
    serialize: false,
    getMinHeight: leastHeight,
  });
  if (widget) widget.serialize = false;
}

/** Make a node at least as high as what is on it, and not wider. */
export function grow(node: ComfyNode, more = 0, leastWidth = 0): void {
  const [, height] = node.computeSize();
  const size: [number, number] = [
    Math.max(node.size[0], leastWidth), Math.max(node.size[1], height + more),
  ];
  node.setSize(size);
  node.graph?.setDirtyCanvas(true, true);
}

/** What a node brought under a name: the first of its list. */
export function broughtBy<Value extends object>(output: unknown, name: string): Value | null {
  const told = (output as Record<string, unknown> | null)?.[name];
  return Array.isArray(told) ? (told[0] as Value) ?? null : null;
}
