// A scored sweep as the server sends it: see host/score_page.py, which this mirrors.

export const NOT_CHOSEN = -1;

export interface Cell {
  number: number;
  page: number;
  row: number;
  column: number;
  /** Below the sweep's folder; empty where the cell failed. */
  file: string;
}

export interface SweepCells {
  pages: string[];
  rows: string[];
  columns: string[];
  /** Width and height of a picture in pixels. */
  size: [number, number];
  name: string;
  folder: string;
  stamp: number;
  cells: [number, number, number, number, string][];
  failed: Record<string, string>;
  /** The cells of each place, the first place first. */
  shortlist: number[][];
  decision: [number, string] | null;
  /** The choice and the sweep that it was made in, as the run got them; its number in this one. */
  choice?: { asked: [number, string]; cell: number };
}

/** What a run of the node brought, or null where it brought no cells. */
export function cellsOf(output: unknown): SweepCells | null {
  const told = (output as { kiln_scores?: { grid?: SweepCells }[] } | null)?.kiln_scores;
  const grid = Array.isArray(told) ? told[0]?.grid : undefined;
  return grid && Array.isArray(grid.cells) ? grid : null;
}

export function onPage(sweep: SweepCells, wanted: number): Cell[] {
  return sweep.cells
    .map(([number, page, row, column, file]) => ({ number, page, row, column, file }))
    .filter((cell) => cell.page === wanted);
}

/** From 1 on; 0 where the cell is not on the shortlist. */
export function shortlistPlace(sweep: SweepCells, number: number): number {
  return sweep.shortlist.findIndex((cells) => cells.includes(number)) + 1;
}

/** The route of a cell's picture: a small one, as it lies there, so that the server only sends it. */
export function pictureRoute(sweep: SweepCells, file: string): string {
  const [name, ...above] = file.split("/").reverse();
  const query = new URLSearchParams({
    filename: name ?? "",
    subfolder: [sweep.folder, ...above.reverse()].join("/"),
    type: "output",
    v: String(sweep.stamp),
  });
  return `/view?${query}`;
}

/** What was decided and what the next run will store, in a sentence. */
export function state(sweep: SweepCells, choice: number): string {
  const [decided, by] = sweep.decision ?? [NOT_CHOSEN, ""];
  const mine = by === "person";
  if (choice >= 0) {
    if (!sweep.cells.some(([number]) => number === choice)) {
      return `There is no cell ${choice} in this sweep.`;
    }
    return mine && decided === choice
      ? `Cell ${choice} is your choice, and stored.`
      : `Cell ${choice} is your choice. Run again to store it.`;
  }
  if (mine) return `Cell ${decided} is stored as your choice. Click another one to change it.`;
  return decided >= 0
    ? `Nothing chosen yet: cell ${decided} is only a suggestion. Click the cell that you like.`
    : "Nothing chosen yet. Click the cell that you like.";
}
