// The few things of ComfyUI's front end that we use; both modules belong to its public interface.

interface ComfyWidget {
  name: string;
  value: unknown;
  callback?: (value: unknown, ...rest: unknown[]) => unknown;
  serialize?: boolean;
  hidden?: boolean;
  options?: { values?: unknown };
}

interface ComfyNode {
  id: number | string;
  comfyClass?: string;
  size: [number, number];
  inputs?: { name: string; link: number | null }[];
  widgets?: ComfyWidget[];
  graph?: { setDirtyCanvas(front: boolean, back?: boolean): void } | null;
  onExecuted?: (output: unknown) => void;
  onDragOver?: (event: DragEvent) => boolean;
  onDragDrop?: (event: DragEvent) => boolean | Promise<boolean>;
  computeSize(): [number, number];
  setSize(size: [number, number]): void;
  addDOMWidget?: (
    name: string,
    type: string,
    element: HTMLElement,
    options: { serialize?: boolean; hideOnZoom?: boolean; getMinHeight?: () => number },
  ) => ComfyWidget;
}

interface ComfyGraph {
  getNodeById(id: string): ComfyNode | null | undefined;
  subgraphs?: Map<string, ComfyGraph>;
}

interface ComfyMenuItem {
  content: string;
  callback: () => void;
}

interface ComfyExtension {
  name: string;
  nodeCreated?: (node: ComfyNode) => void;
  getNodeMenuItems?: (node: ComfyNode) => ComfyMenuItem[];
  onNodeOutputsUpdated?: (outputs: Record<string, unknown>) => void;
}

declare module "*/scripts/app.js" {
  export const app: {
    canvas?: unknown;
    graph?: ComfyGraph;
    rootGraph?: ComfyGraph;
    refreshComboInNodes?: () => Promise<void>;
    registerExtension(extension: ComfyExtension): void;
  };
}

declare module "*/scripts/api.js" {
  export const api: { apiURL(route: string): string };
}
