// Built of web/src by: npm ci && npm run build

// web/src/choose_cell.ts
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

// web/src/dom.ts
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// web/src/sweep_cells.ts
var NOT_CHOSEN = -1;
function cellsOf(output) {
  const told = output?.kiln_scores;
  const grid = Array.isArray(told) ? told[0]?.grid : void 0;
  return grid && Array.isArray(grid.cells) ? grid : null;
}
function onPage(sweep, wanted) {
  return sweep.cells.map(([number, page, row2, column, file]) => ({ number, page, row: row2, column, file })).filter((cell) => cell.page === wanted);
}
function shortlistPlace(sweep, number) {
  return sweep.shortlist.findIndex((cells) => cells.includes(number)) + 1;
}
function pictureRoute(sweep, file) {
  const [name, ...above] = file.split("/").reverse();
  const query = new URLSearchParams({
    filename: name ?? "",
    subfolder: [sweep.folder, ...above.reverse()].join("/"),
    type: "output",
    v: String(sweep.stamp)
  });
  return `/view?${query}`;
}
function state(sweep, choice) {
  const [decided, by] = sweep.decision ?? [NOT_CHOSEN, ""];
  const mine = by === "person";
  if (choice >= 0) {
    if (!sweep.cells.some(([number]) => number === choice)) {
      return `There is no cell ${choice} in this sweep.`;
    }
    return mine && decided === choice ? `Cell ${choice} is your choice, and stored.` : `Cell ${choice} is your choice. Run again to store it.`;
  }
  if (mine) return `Cell ${decided} is stored as your choice. Click another one to change it.`;
  return decided >= 0 ? `Nothing chosen yet: cell ${decided} is only a suggestion. Click the cell that you like.` : "Nothing chosen yet. Click the cell that you like.";
}

// web/src/cell_grid.ts
var SIZES_PX = { min: 48, max: 384, fit_min: 64, fit_max: 160 };
var GAP_PX = 6;
var NO_PICTURE = "no picture";
var CellGrid = class {
  constructor(owner) {
    this.owner = owner;
    const fitting = new ResizeObserver(() => this.fit());
    fitting.observe(this.scroller);
    this.size.addEventListener("input", () => {
      fitting.disconnect();
      this.fit = () => {
      };
      this.resize(this.size.valueAsNumber);
    });
    this.resize(SIZES_PX.fit_min);
    this.pages.addEventListener("change", () => this.turnTo(this.pages.selectedIndex));
    this.grid.addEventListener("click", (event) => this.clicked(event.target));
    this.grid.addEventListener("keydown", (event) => this.pressed(event));
    this.grid.addEventListener("error", (event) => lost(event.target), true);
    const bar = element("div", { class: "kiln-bar" }, this.pages, this.size);
    this.root.append(this.said, bar, this.scroller);
  }
  owner;
  root = element("div", { class: "kiln-cells", "data-capture-wheel": "true" });
  said = element("div", { class: "kiln-said", "aria-live": "polite" });
  pages = element("select", { "aria-label": "Page of the sweep" });
  grid = element("div", { role: "grid", "aria-label": "Cells of the sweep" });
  scroller = element("div", { class: "kiln-scroll" }, this.grid);
  size = element("input", {
    type: "range",
    min: `${SIZES_PX.min}`,
    max: `${SIZES_PX.max}`,
    step: "4",
    "aria-label": "Size of the pictures"
  });
  sweep = null;
  page = 0;
  /** Row and column of the cell that the arrow keys have reached. */
  at = [0, 0];
  /** The sweep that is shown. */
  get name() {
    return this.sweep?.name ?? "";
  }
  /** The chosen cell of this sweep: a number of another one means nothing here. */
  choice() {
    const made = this.owner.chosenIn();
    return made === "" || made === this.name ? this.owner.choice() : NOT_CHOSEN;
  }
  /** Show what a run brought; the page stays where the sweep is the same one. */
  show(sweep) {
    const isNew = this.sweep?.folder !== sweep.folder;
    this.sweep = sweep;
    if (isNew || this.page >= sweep.pages.length) {
      const wanted = this.choice() >= 0 ? this.choice() : sweep.decision?.[0];
      this.page = sweep.cells.find(([number]) => number === wanted)?.[1] ?? 0;
      this.at = [0, 0];
    }
    this.pages.replaceChildren(
      ...sweep.pages.map((label, page) => element("option", {}, label || `page ${page + 1}`))
    );
    this.pages.hidden = sweep.pages.length < 2;
    this.draw();
  }
  /** Mark the choice anew, after it changed here or elsewhere. */
  mark() {
    if (!this.sweep) return;
    const choice = this.choice();
    const [decided, by] = this.sweep.decision ?? [NOT_CHOSEN, ""];
    for (const own of this.grid.querySelectorAll("[data-cell]")) {
      const number = Number(own.dataset.cell);
      own.setAttribute("aria-selected", String(number === choice));
      const stored = number === decided && number !== choice;
      own.toggleAttribute("data-stored", stored && by === "person");
      own.toggleAttribute("data-suggested", stored && by !== "person");
    }
    this.root.toggleAttribute("data-locked", this.owner.locked() !== "");
    this.said.textContent = this.owner.locked() || state(this.sweep, choice);
  }
  draw() {
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
  drawCell(cell) {
    const sweep = this.sweep;
    const place = shortlistPlace(sweep, cell.number);
    const failed = sweep.failed[cell.number];
    const name = [
      `Cell ${cell.number}`,
      sweep.pages[cell.page],
      sweep.rows[cell.row],
      sweep.columns[cell.column],
      place ? `shortlist ${place}` : "",
      failed === void 0 ? "" : `failed: ${failed}`
    ].filter(Boolean).join(", ");
    const own = element("div", {
      role: "gridcell",
      tabindex: "-1",
      title: name,
      "aria-label": name,
      "data-cell": String(cell.number),
      "data-row": String(cell.row),
      "data-column": String(cell.column)
    });
    if (failed !== void 0) own.setAttribute("aria-disabled", "true");
    const none = failed === void 0 ? NO_PICTURE : "failed";
    own.append(cell.file ? this.picture(cell) : absent(none));
    own.append(element("span", { class: "kiln-number" }, String(cell.number)));
    if (place) own.append(element("span", { class: "kiln-place" }, String(place)));
    return own;
  }
  picture(cell) {
    const made = element("img", { loading: "lazy", decoding: "async", alt: "" });
    made.draggable = false;
    made.src = this.owner.url(pictureRoute(this.sweep, cell.file));
    return made;
  }
  clicked(target) {
    const own = target instanceof Element && target.closest("[data-cell]");
    if (!own) return;
    this.focus(this.reach(Number(own.dataset.row), Number(own.dataset.column)));
    if (own.getAttribute("aria-disabled") === "true") return;
    if (this.owner.locked()) {
      this.mark();
      return;
    }
    const number = Number(own.dataset.cell);
    this.owner.choose(number === this.choice() ? NOT_CHOSEN : number);
    this.mark();
  }
  pressed(event) {
    if (!this.sweep || event.ctrlKey || event.metaKey || event.altKey) return;
    const [down, across] = this.at;
    const [lastDown, lastAcross] = [this.sweep.rows.length - 1, this.sweep.columns.length - 1];
    const to = {
      ArrowUp: [down - 1, across],
      ArrowDown: [down + 1, across],
      ArrowLeft: [down, across - 1],
      ArrowRight: [down, across + 1],
      Home: [down, 0],
      End: [down, lastAcross]
    };
    const turns = { PageUp: this.page - 1, PageDown: this.page + 1 };
    const [aim, page] = [to[event.key], turns[event.key]];
    if (aim) {
      this.focus(this.reach(between(0, aim[0], lastDown), between(0, aim[1], lastAcross)));
    } else if (page !== void 0) {
      this.turnTo(between(0, page, this.sweep.pages.length - 1));
      this.focus(this.reach(...this.at));
    } else if (event.key === "Enter" || event.key === " ") {
      this.clicked(event.target);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
  turnTo(page) {
    this.page = page;
    this.draw();
  }
  /** Make a cell the one that the Tab key comes to. */
  reach(down, across) {
    this.grid.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    const place = `[data-row='${down}'][data-column='${across}']`;
    const own = this.grid.querySelector(place);
    own?.setAttribute("tabindex", "0");
    this.at = [down, across];
    return own;
  }
  /** Move the keyboard to a cell. The browser's own scrolling would move ComfyUI's page, too. */
  focus(own) {
    if (!own) return;
    own.focus({ preventScroll: true });
    const view = this.scroller;
    const corner = this.grid.querySelector("[role='columnheader']");
    const [above, before] = [corner?.offsetHeight ?? 0, corner?.offsetWidth ?? 0];
    const [bottom, right] = [own.offsetTop + own.offsetHeight, own.offsetLeft + own.offsetWidth];
    view.scrollTop = between(bottom - view.clientHeight, view.scrollTop, own.offsetTop - above);
    view.scrollLeft = between(right - view.clientWidth, view.scrollLeft, own.offsetLeft - before);
  }
  /** All columns side by side, where that leaves pictures that one can tell apart. */
  fit() {
    const corner = this.grid.querySelector("[role='columnheader']");
    const width = this.scroller.clientWidth - (corner?.offsetWidth ?? 0);
    if (!this.sweep || width <= 0) return;
    const each = Math.floor(width / this.sweep.columns.length) - GAP_PX - 1;
    this.resize(between(SIZES_PX.fit_min, each, SIZES_PX.fit_max));
  }
  resize(px) {
    this.root.style.setProperty("--kiln-cell", `${px}px`);
    this.size.valueAsNumber = px;
  }
};
function row(...cells) {
  return element("div", { role: "row" }, ...cells);
}
function header(role, label) {
  return element("div", { role, title: label }, element("span", {}, label));
}
function between(least, value, most) {
  return Math.min(Math.max(value, least), most);
}
function absent(text) {
  return element("span", { class: "kiln-none" }, text);
}
function lost(target) {
  if (target instanceof HTMLImageElement) {
    target.replaceWith(absent(NO_PICTURE));
  }
}

// web/src/style.ts
var SHEET = `
.kiln-cells {
  display: flex; flex-direction: column; gap: 6px; box-sizing: border-box;
  width: 100%; height: 100%; min-height: 300px; padding: 6px; overflow: hidden;
  color: var(--input-text, #ddd); background: var(--comfy-input-bg, #222);
  border: 1px solid var(--border-color, #4e4e4e); border-radius: 6px;
  font: 12px/1.35 sans-serif; text-align: left; user-select: none;
}
.kiln-cells .kiln-said { flex: none; min-height: 1.35em; }
.kiln-cells .kiln-bar { display: flex; flex: none; gap: 8px; align-items: center; }
.kiln-cells select {
  flex: 1 1 auto; min-width: 0; padding: 2px 4px; font: inherit;
  color: inherit; background: var(--comfy-menu-bg, #353535);
  border: 1px solid var(--border-color, #4e4e4e); border-radius: 4px;
}
.kiln-cells select[hidden] { display: none; }
.kiln-cells input[type="range"] { flex: 0 1 140px; min-width: 60px; margin: 0 0 0 auto; }
.kiln-cells .kiln-scroll {
  position: relative; flex: 1 1 0; min-height: 0; overflow: auto; overscroll-behavior: contain;
}
.kiln-cells [role="grid"] {
  display: grid; gap: 6px; width: max-content; padding: 0 4px 4px 0;
  grid-template-columns: minmax(32px, max-content) repeat(var(--kiln-columns), var(--kiln-cell));
}
.kiln-cells [role="row"] { display: contents; }
.kiln-cells [role="columnheader"], .kiln-cells [role="rowheader"] {
  display: flex; align-items: center; position: sticky; z-index: 1; padding: 2px 4px;
  color: var(--descrip-text, #aaa); background: var(--comfy-input-bg, #222);
  box-shadow: 0 0 0 6px var(--comfy-input-bg, #222); /* Over the gaps, too. */
}
.kiln-cells [role="columnheader"] { top: 0; justify-content: center; text-align: center; }
.kiln-cells [role="rowheader"] { left: 0; max-width: 110px; }
.kiln-cells [role="columnheader"]:first-child { left: 0; z-index: 2; }
.kiln-cells [role$="header"] > span {
  display: -webkit-box; overflow: hidden; overflow-wrap: anywhere;
  -webkit-box-orient: vertical; -webkit-line-clamp: 3;
}
.kiln-cells [role="gridcell"] {
  position: relative; box-sizing: border-box; width: var(--kiln-cell); overflow: hidden;
  aspect-ratio: var(--kiln-aspect); border-radius: 4px; cursor: pointer;
  background: var(--comfy-menu-bg, #353535);
}
.kiln-cells [role="gridcell"] > img {
  display: block; width: 100%; height: 100%; object-fit: contain;
}
.kiln-cells [role="gridcell"][aria-disabled="true"] {
  cursor: not-allowed; color: var(--descrip-text, #aaa);
  background: repeating-linear-gradient(45deg, #777 0 6px, #6b6b6b 6px 12px);
}
.kiln-cells .kiln-none {
  position: absolute; inset: 0; display: grid; place-items: center; color: #fff;
}
.kiln-cells .kiln-number, .kiln-cells .kiln-place {
  position: absolute; padding: 0 5px; border-radius: 3px; color: #fff; background: rgb(0 0 0 / 70%);
}
.kiln-cells .kiln-number { left: 3px; bottom: 3px; }
.kiln-cells .kiln-place {
  top: 3px; right: 3px; color: #111; background: #ffd54a; font-weight: 700; border-radius: 9px;
}
/* Inside the cell, so that no neighbour and no edge covers them. */
.kiln-cells [role="gridcell"]::after {
  content: ""; position: absolute; inset: 0; border-radius: 4px; pointer-events: none;
}
.kiln-cells [role="gridcell"]:hover::after { box-shadow: inset 0 0 0 2px rgb(255 255 255 / 60%); }
.kiln-cells [data-suggested]::after { border: 2px dashed #ffd54a; }
.kiln-cells [data-stored]::after { border: 3px dashed var(--p-primary-color, #4da3ff); }
.kiln-cells [aria-selected="true"]::after {
  border: 4px solid var(--p-primary-color, #4da3ff); box-shadow: inset 0 0 0 2px #fff;
}
.kiln-cells [role="gridcell"]:focus { outline: none; }
.kiln-cells :focus-visible { outline: 2px solid #fff; outline-offset: -2px; }
.kiln-cells [role="gridcell"]:focus-visible { outline: 3px solid #fff; outline-offset: 1px; }
.kiln-cells[data-locked] [role="gridcell"] { cursor: default; }
`;
function addStyle() {
  if (!document.getElementById("kiln-style")) {
    document.head.append(element("style", { id: "kiln-style" }, SHEET));
  }
}

// web/src/choose_cell.ts
var LEAST_HEIGHT_PX = 340;
var MORE_HEIGHT_PX = 160;
var grids = /* @__PURE__ */ new WeakMap();
app.registerExtension({
  name: "LoRAKiln.ChooseCell",
  nodeCreated(node) {
    const choice = choiceOf(node);
    if (!choice) return;
    const usual = node.onExecuted;
    node.onExecuted = function(output) {
      usual?.call(this, output);
      show(node, output);
    };
    const chosenIn = chosenInOf(node);
    if (chosenIn) chosenIn.hidden = true;
    const changed = choice.callback;
    choice.callback = function(...told) {
      const result = changed?.apply(this, told);
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
  }
});
function choiceOf(node) {
  if (node.comfyClass !== "KilnScoreSweep" || !node.addDOMWidget) return void 0;
  return node.widgets?.find((widget) => widget.name === "choice");
}
function chosenInOf(node) {
  return node.widgets?.find((widget) => widget.name === "chosen_in");
}
function nodeAt(place) {
  const [id, subgraph] = place.split(":").reverse();
  const root = app.rootGraph ?? app.graph;
  return (subgraph ? root?.subgraphs?.get(subgraph) : root)?.getNodeById(id ?? "");
}
function show(node, output) {
  const [sweep, choice] = [cellsOf(output), choiceOf(node)];
  if (!sweep || !choice) return;
  takeOver(sweep, choice, chosenInOf(node));
  (grids.get(node) ?? addGrid(node, choice)).show(sweep);
}
function takeOver(sweep, choice, chosenIn) {
  const [number, made] = sweep.choice?.asked ?? [NOT_CHOSEN, ""];
  const isMine = choice.value === number && chosenIn?.value === made;
  if (!sweep.choice || !chosenIn || !made || made === sweep.name || !isMine) return;
  choice.value = sweep.choice.cell;
  chosenIn.value = sweep.choice.cell >= 0 ? sweep.name : "";
}
function addGrid(node, choice) {
  addStyle();
  const grid = new CellGrid({
    choice: () => typeof choice.value === "number" ? choice.value : NOT_CHOSEN,
    chosenIn: () => String(chosenInOf(node)?.value ?? ""),
    choose(number) {
      choice.value = number;
      choice.callback?.(number, app.canvas, node);
      node.graph?.setDirtyCanvas(true, true);
    },
    locked: () => node.inputs?.some((input) => input.name === "choice" && input.link != null) ? "The choice comes in by a link: take the link away to choose here." : "",
    url: (route) => api.apiURL(route)
  });
  const widget = node.addDOMWidget?.("kiln_cells", "KILN_CELLS", grid.root, {
    serialize: false,
    getMinHeight: () => LEAST_HEIGHT_PX
  });
  if (widget) widget.serialize = false;
  const [, height] = node.computeSize();
  node.setSize([node.size[0], Math.max(node.size[1], height + MORE_HEIGHT_PX)]);
  grids.set(node, grid);
  return grid;
}
