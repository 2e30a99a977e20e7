// A page of a sweep's cells as pictures; a click, or Enter, chooses one.

import { element } from "./dom";
import {
  type Cell, NOT_CHOSEN, type SweepCells, onPage, pictureRoute, shortlistPlace, state,
} from "./sweep_cells";

/** A picture's width: what the slider allows, and how far it follows the node's by itself. */
const SIZES_PX = { min: 48, max: 384, fit_min: 64, fit_max: 160 };
const GAP_PX = 6;
const NO_PICTURE = "no picture";

export interface GridOwner {
  /** The chosen cell's number, or -1. */
  choice(): number;
  /** The sweep in which it was made; empty where nobody knows. */
  chosenIn(): string;
  /** Asked for when a cell is clicked; -1 takes the choice back. */
  choose(number: number): void;
  /** Why nothing can be chosen here; empty when it can. */
  locked(): string;
  url(route: string): string;
}

export class CellGrid {
  readonly root = element("div", { class: "kiln-cells", "data-capture-wheel": "true" });
  private readonly said = element("div", { class: "kiln-said", "aria-live": "polite" });
  private readonly pages = element("select", { "aria-label": "Page of the sweep" });
  private readonly grid = element("div", { role: "grid", "aria-label": "Cells of the sweep" });
  private readonly scroller = element("div", { class: "kiln-scroll" }, this.grid);
  private readonly size = element("input", {
    type: "range", min: `${SIZES_PX.min}`, max: `${SIZES_PX.max}`, step: "4",
    "aria-label": "Size of the pictures",
  });
  private sweep: SweepCells | null = null;
  private page = 0;
  /** Row and column of the cell that the arrow keys have reached. */
  private at: [number, number] = [0, 0];

  constructor(private readonly owner: GridOwner) {
    // Once a person has set a size, it stays.
    const fitting = new ResizeObserver(() => this.fit());
    fitting.observe(this.scroller);
    this.size.addEventListener("input", () => {
      fitting.disconnect();
      this.fit = () => {};
      this.resize(this.size.valueAsNumber);
    });
    this.resize(SIZES_PX.fit_min);
    this.pages.addEventListener("change", () => this.turnTo(this.pages.selectedIndex));
    this.grid.addEventListener("click", (event) => this.clicked(event.target));
    this.grid.addEventListener("keydown", (event) => this.pressed(event));
    // Errors of pictures do not bubble.
    this.grid.addEventListener("error", (event) => lost(event.target), true);
    const bar = element("div", { class: "kiln-bar" }, this.pages, this.size);
    this.root.append(this.said, bar, this.scroller);
  }

  /** The sweep that is shown. */
  get name(): string {
    return this.sweep?.name ?? "";
  }

  /** The chosen cell of this sweep: a number of another one means nothing here. */
  private choice(): number {
    const made = this.owner.chosenIn();
    return made === "" || made === this.name ? this.owner.choice() : NOT_CHOSEN;
  }

  /** Show what a run brought; the page stays where the sweep is the same one. */
  show(sweep: SweepCells): void {
    const isNew = this.sweep?.folder !== sweep.folder;
    this.sweep = sweep;
    if (isNew || this.page >= sweep.pages.length) {
      const wanted = this.choice() >= 0 ? this.choice() : sweep.decision?.[0];
      this.page = sweep.cells.find(([number]) => number === wanted)?.[1] ?? 0;
      this.at = [0, 0];
    }
    this.pages.replaceChildren(
      ...sweep.pages.map((label, page) => element("option", {}, label || `page ${page + 1}`)),
    );
    this.pages.hidden = sweep.pages.length < 2;
    this.draw();
  }

  /** Mark the choice anew, after it changed here or elsewhere. */
  mark(): void {
    if (!this.sweep) return;
    const choice = this.choice();
    const [decided, by] = this.sweep.decision ?? [NOT_CHOSEN, ""];
    for (const own of this.grid.querySelectorAll<HTMLElement>("[data-cell]")) {
      const number = Number(own.dataset.cell);
      own.setAttribute("aria-selected", String(number === choice));
      const stored = number === decided && number !== choice;
      own.toggleAttribute("data-stored", stored && by === "person");
      own.toggleAttribute("data-suggested", stored && by !== "person");
    }
    this.root.toggleAttribute("data-locked", this.owner.locked() !== "");
    this.said.textContent = this.owner.locked() || state(this.sweep, choice);
  }

  private draw(): void {
    const sweep = this.sweep;
    if (!sweep) return;
    this.pages.selectedIndex = this.page;
    this.grid.style.setProperty("--kiln-columns", String(sweep.columns.length));
    this.grid.style.setProperty("--kiln-aspect", sweep.size.join(" / "));
    const rows = sweep.rows.map((label) => row(header("rowheader", label)));
    for (const cell of onPage(sweep, this.page)) rows[cell.row]?.append(this.drawCell(cell));
    const heads = sweep.columns.map((label) => header("columnheader", label));
    this.grid.replaceChildren(row(header("columnheader", ""), ...heads), ...rows);
    this.reach(...this.at);
    this.mark();
    this.fit();
  }

  private drawCell(cell: Cell): HTMLElement {
    const sweep = this.sweep as SweepCells;
    const place = shortlistPlace(sweep, cell.number);
    const failed = sweep.failed[cell.number];
    const name = [
      `Cell ${cell.number}`, sweep.pages[cell.page], sweep.rows[cell.row],
      sweep.columns[cell.column], place ? `shortlist ${place}` : "",
      failed === undefined ? "" : `failed: ${failed}`,
    ].filter(Boolean).join(", ");
    const own = element("div", {
      role: "gridcell", tabindex: "-1", title: name, "aria-label": name,
      "data-cell": String(cell.number), "data-row": String(cell.row),
      "data-column": String(cell.column),
    });
    if (failed !== undefined) own.setAttribute("aria-disabled", "true");
    const none = failed === undefined ? NO_PICTURE : "failed";
    own.append(cell.file ? this.picture(cell) : absent(none));
    own.append(element("span", { class: "kiln-number" }, String(cell.number)));
    if (place) own.append(element("span", { class: "kiln-place" }, String(place)));
    return own;
  }

  private picture(cell: Cell): HTMLElement {
    // `loading` has to stand before `src`, else the browser starts at once.
    const made = element("img", { loading: "lazy", decoding: "async", alt: "" });
    made.draggable = false;
    made.src = this.owner.url(pictureRoute(this.sweep as SweepCells, cell.file));
    return made;
  }

  private clicked(target: EventTarget | null): void {
    const own = target instanceof Element && target.closest<HTMLElement>("[data-cell]");
    if (!own) return;
    this.focus(this.reach(Number(own.dataset.row), Number(own.dataset.column)));
    if (own.getAttribute("aria-disabled") === "true") return;
    if (this.owner.locked()) {
      // The link may have come after the grid was drawn.
      this.mark();
      return;
    }
    const number = Number(own.dataset.cell);
    this.owner.choose(number === this.choice() ? NOT_CHOSEN : number);
    this.mark();
  }

  private pressed(event: KeyboardEvent): void {
    if (!this.sweep || event.ctrlKey || event.metaKey || event.altKey) return;
    const [down, across] = this.at;
    const [lastDown, lastAcross] = [this.sweep.rows.length - 1, this.sweep.columns.length - 1];
    const to: Record<string, [number, number]> = {
      ArrowUp: [down - 1, across], ArrowDown: [down + 1, across],
      ArrowLeft: [down, across - 1], ArrowRight: [down, across + 1],
      Home: [down, 0], End: [down, lastAcross],
    };
    const turns: Record<string, number> = { PageUp: this.page - 1, PageDown: this.page + 1 };
    const [aim, page] = [to[event.key], turns[event.key]];
    if (aim) {
      this.focus(this.reach(between(0, aim[0], lastDown), between(0, aim[1], lastAcross)));
    } else if (page !== undefined) {
      this.turnTo(between(0, page, this.sweep.pages.length - 1));
      this.focus(this.reach(...this.at));
    } else if (event.key === "Enter" || event.key === " ") {
      this.clicked(event.target);
    } else {
      return;
    }
    // The key has done its work; ComfyUI's own shortcuts must not hear it, too.
    event.preventDefault();
    event.stopPropagation();
  }

  private turnTo(page: number): void {
    this.page = page;
    this.draw();
  }

  /** Make a cell the one that the Tab key comes to. */
  private reach(down: number, across: number): HTMLElement | null {
    this.grid.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    const place = `[data-row='${down}'][data-column='${across}']`;
    const own = this.grid.querySelector<HTMLElement>(place);
    own?.setAttribute("tabindex", "0");
    this.at = [down, across];
    return own;
  }

  /** Move the keyboard to a cell. The browser's own scrolling would move ComfyUI's page, too. */
  private focus(own: HTMLElement | null): void {
    if (!own) return;
    own.focus({ preventScroll: true });
    const view = this.scroller;
    const corner = this.grid.querySelector<HTMLElement>("[role='columnheader']");
    const [above, before] = [corner?.offsetHeight ?? 0, corner?.offsetWidth ?? 0];
    const [bottom, right] = [own.offsetTop + own.offsetHeight, own.offsetLeft + own.offsetWidth];
    view.scrollTop = between(bottom - view.clientHeight, view.scrollTop, own.offsetTop - above);
    view.scrollLeft = between(right - view.clientWidth, view.scrollLeft, own.offsetLeft - before);
  }

  /** All columns side by side, where that leaves pictures that one can tell apart. */
  private fit(): void {
    const corner = this.grid.querySelector<HTMLElement>("[role='columnheader']");
    const width = this.scroller.clientWidth - (corner?.offsetWidth ?? 0);
    if (!this.sweep || width <= 0) return;
    const each = Math.floor(width / this.sweep.columns.length) - GAP_PX - 1;
    this.resize(between(SIZES_PX.fit_min, each, SIZES_PX.fit_max));
  }

  private resize(px: number): void {
    this.root.style.setProperty("--kiln-cell", `${px}px`);
    this.size.valueAsNumber = px;
  }
}

function row(...cells: HTMLElement[]): HTMLElement {
  return element("div", { role: "row" }, ...cells);
}

function header(role: string, label: string): HTMLElement {
  return element("div", { role, title: label }, element("span", {}, label));
}

function between(least: number, value: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

function absent(text: string): HTMLElement {
  return element("span", { class: "kiln-none" }, text);
}

/** The cell can still be chosen when somebody deleted its picture. */
function lost(target: EventTarget | null): void {
  if (target instanceof HTMLImageElement) {
    target.replaceWith(absent(NO_PICTURE));
  }
}
