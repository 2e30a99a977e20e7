// Built of web/src by: npm ci && npm run build

// web/src/choose_cell.ts
import { api } from "../../../scripts/api.js";
import { app as app2 } from "../../../scripts/app.js";

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

// web/src/nodes.ts
import { app } from "../../../scripts/app.js";
function nodeAt(place) {
  const [id, subgraph] = place.split(":").reverse();
  const root = app.rootGraph ?? app.graph;
  return (subgraph ? root?.subgraphs?.get(subgraph) : root)?.getNodeById(id ?? "");
}
function widgetOf(node, name) {
  return node.widgets?.find((widget) => widget.name === name);
}
function whenExecuted(node, act) {
  const usual = node.onExecuted;
  node.onExecuted = function(output) {
    usual?.call(this, output);
    act(output);
  };
}
function addElement(node, name, root, leastHeight) {
  const widget = node.addDOMWidget?.(name, name.toUpperCase(), root, {
    serialize: false,
    getMinHeight: leastHeight
  });
  if (widget) widget.serialize = false;
}
function grow(node, more = 0, leastWidth = 0) {
  const [, height] = node.computeSize();
  const size = [
    Math.max(node.size[0], leastWidth),
    Math.max(node.size[1], height + more)
  ];
  node.setSize(size);
  node.graph?.setDirtyCanvas(true, true);
}
function broughtBy(output, name) {
  const told = output?.[name];
  return Array.isArray(told) ? told[0] ?? null : null;
}

// web/src/style_pictures.ts
var PICTURES_SHEET = `
.kiln-upload, .kiln-pictures {
  display: flex; flex-direction: column; gap: 6px; box-sizing: border-box; width: 100%;
  padding: 6px; overflow: hidden; color: var(--input-text, #ddd);
  background: var(--comfy-input-bg, #222); border: 1px solid var(--border-color, #4e4e4e);
  border-radius: 6px; font: 12px/1.35 sans-serif; text-align: left;
}
.kiln-upload { min-height: 62px; border-style: dashed; user-select: none; }
.kiln-upload[data-over] { border: 2px solid var(--p-primary-color, #4da3ff); padding: 5px; }
.kiln-upload [hidden], .kiln-pictures [hidden] { display: none !important; }
.kiln-upload .kiln-bar, .kiln-pictures .kiln-bar {
  display: flex; flex: none; gap: 6px; align-items: center;
}
.kiln-upload .kiln-bar { flex-wrap: wrap; }
.kiln-upload .kiln-bar > button { flex: 1 1 auto; padding: 3px 5px; }
.kiln-upload progress { flex: 1 1 auto; min-width: 40px; accent-color: #4da3ff; }
.kiln-upload .kiln-told { min-height: 1.35em; }
.kiln-upload details { flex: none; max-height: 120px; overflow: auto; }
.kiln-upload ul { margin: 2px 0; padding-left: 16px; }
.kiln-upload li { overflow-wrap: anywhere; }
.kiln-upload .kiln-told, .kiln-pictures .kiln-told {
  flex: none; color: var(--descrip-text, #aaa); overflow-wrap: anywhere;
}
.kiln-upload .kiln-told[data-wrong], .kiln-pictures .kiln-told[data-wrong] { color: #ff9d8a; }
.kiln-upload button, .kiln-pictures button, .kiln-pictures select, .kiln-pictures input {
  padding: 3px 7px; font: inherit; color: inherit; cursor: pointer; white-space: nowrap;
  background: var(--comfy-menu-bg, #353535); border: 1px solid var(--border-color, #4e4e4e);
  border-radius: 4px;
}
.kiln-upload button:hover, .kiln-pictures button:hover:enabled { border-color: #999; }
.kiln-pictures button:disabled { opacity: .45; cursor: default; }
.kiln-pictures { position: relative; height: 100%; min-height: 380px; }
.kiln-pictures input[type="search"] { flex: 1 1 120px; min-width: 60px; cursor: text; }
.kiln-pictures select { flex: 0 1 190px; min-width: 60px; }
.kiln-pictures .kiln-scroll {
  position: relative; flex: 1 1 0; min-height: 0; overflow: auto; overscroll-behavior: contain;
}
.kiln-cards {
  display: grid; gap: 8px; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(190px, 1fr));
}
.kiln-card {
  display: flex; flex-direction: column; gap: 4px; min-width: 0; padding: 5px;
  background: var(--comfy-menu-bg, #353535); border: 2px solid transparent; border-radius: 6px;
}
.kiln-card[data-decision="accepted"] { border-color: #4caf72; }
.kiln-card[data-decision="changed"] { border-color: #d9a441; }
.kiln-card[data-decision="rejected"] { border-color: #b0463c; }
.kiln-card[data-decision="rejected"] img { opacity: .3; }
.kiln-card[data-busy] { opacity: .7; }
.kiln-card:focus, .kiln-card:focus-visible { outline: 2px solid #fff; outline-offset: -1px; }
.kiln-card .kiln-frame {
  position: relative; height: 170px; overflow: hidden; border-radius: 4px; background: #1b1b1b;
}
.kiln-card img {
  display: block; width: 100%; height: 100%; object-fit: contain; cursor: zoom-in;
}
.kiln-card .kiln-none { display: grid; place-items: center; height: 100%; color: #ff9d8a; }
.kiln-card .kiln-badge { position: absolute; top: 4px; left: 4px; }
.kiln-card .kiln-badge:not(:empty) {
  padding: 1px 6px; color: #fff; background: rgb(0 0 0 / 75%); border-radius: 3px;
}
.kiln-card .kiln-name {
  overflow: hidden; white-space: nowrap; text-overflow: ellipsis; font-weight: 600;
}
.kiln-card .kiln-facts { display: flex; flex-wrap: wrap; gap: 2px 10px; }
.kiln-card .kiln-facts, .kiln-card .kiln-note { color: var(--descrip-text, #aaa); }
.kiln-card .kiln-note, .kiln-card .kiln-marks li {
  display: -webkit-box; overflow: hidden; overflow-wrap: anywhere; -webkit-box-orient: vertical;
  -webkit-line-clamp: 3;
}
.kiln-card .kiln-marks { display: grid; gap: 3px; margin: 0; padding: 0; list-style: none; }
.kiln-card .kiln-marks li { padding: 0 5px; border-left: 3px solid #6f8fb8; }
.kiln-card .kiln-marks [data-level="warning"] { border-color: #d9a441; }
.kiln-card .kiln-marks [data-level="error"] { border-color: #e0614f; }
.kiln-card textarea {
  flex: 1 0 auto; min-height: 64px; box-sizing: border-box; width: 100%; padding: 4px;
  resize: vertical; font: inherit; line-height: 1.35; color: inherit; background: var(--comfy-input-bg, #222);
  border: 1px solid var(--border-color, #4e4e4e); border-radius: 4px;
}
.kiln-card textarea:focus { outline: 2px solid var(--p-primary-color, #4da3ff); }
.kiln-card textarea:read-only { opacity: .6; }
.kiln-card .kiln-trouble > div { color: #ff9d8a; }
.kiln-card .kiln-trouble > .kiln-bar { margin-top: 4px; color: inherit; }
.kiln-card .kiln-theirs { padding: 3px; color: #fff; background: #222; white-space: pre-wrap; }
.kiln-card .kiln-bar { flex-wrap: wrap; }
.kiln-card .kiln-bar > button { flex: 1 1 0; }
.kiln-card [aria-pressed="true"] { background: #2f6b46; }
.kiln-end { height: 1px; }
.kiln-large {
  position: absolute; inset: 0; z-index: 3; padding: 8px; cursor: zoom-out;
  background: rgb(0 0 0 / 90%);
}
.kiln-large img { display: block; width: 100%; height: 100%; object-fit: contain; }
`;

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
    document.head.append(element("style", { id: "kiln-style" }, SHEET, PICTURES_SHEET));
  }
}

// web/src/choose_cell.ts
var LEAST_HEIGHT_PX = 340;
var MORE_HEIGHT_PX = 160;
var grids = /* @__PURE__ */ new WeakMap();
app2.registerExtension({
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
      choice.callback?.(number, app2.canvas, node);
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

// web/src/curate.ts
import { api as api3 } from "../../../scripts/api.js";
import { app as app3 } from "../../../scripts/app.js";

// web/src/server.ts
import { api as api2 } from "../../../scripts/api.js";
var OWN_PAGE = { "X-Kiln": "1" };
var ServerError = class extends Error {
  constructor(text, status, told) {
    super(text);
    this.status = status;
    this.told = told;
  }
  status;
  told;
};
async function ask(method, route, body, signal) {
  const data = body === void 0 || body instanceof Blob ? body : JSON.stringify(body);
  const type = body === void 0 || body instanceof Blob ? "application/octet-stream" : "application/json";
  const response = await fetch(api2.apiURL(route), {
    method,
    body: data ?? null,
    signal: signal ?? null,
    headers: { ...OWN_PAGE, "Content-Type": type }
  });
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return { status: response.status, answer };
  const text = answer?.error?.text ?? `The server answered ${response.status}. Try again.`;
  throw new ServerError(text, response.status, { ...answer });
}
async function post(route, body) {
  return (await ask("POST", route, body)).answer;
}
function download(route, values) {
  const link = document.createElement("a");
  link.href = api2.apiURL(`${route}?${new URLSearchParams(values)}`);
  link.download = "";
  document.body.append(link);
  link.click();
  link.remove();
}
function reason(error) {
  if (error instanceof ServerError) return error.message;
  if (error instanceof TypeError) return "ComfyUI cannot be reached. Is it running?";
  return error instanceof Error ? error.message : String(error);
}

// web/src/dropped.ts
var REPEATS = /^\d+_./;
var COPY_NUMBER = /(\s*\(\d+\)|-\d+| copy)$/;
function mayHold(event) {
  return [...event.dataTransfer?.items ?? []].some((item) => item.kind === "file");
}
function dropped(event) {
  const items = [...event.dataTransfer?.items ?? []].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const plain = items.map((item) => item.getAsFile()).filter((file) => file !== null);
  return entries.length ? fromEntries(entries) : Promise.resolve(fromFiles(plain));
}
function fromFiles(files) {
  const [first] = files;
  if (!first) return null;
  if (files.length === 1 && isZip(first.name)) return archive(first);
  const rows = files.map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  return below(rows);
}
async function fromEntries(entries) {
  const [first] = entries;
  if (entries.length === 1 && first?.isFile && isZip(first.name)) {
    return archive(await fileOf(first));
  }
  const rows = [];
  for (const entry of entries) await collect(entry, entry.name, rows);
  return rows.length ? below(rows) : null;
}
async function collect(entry, path, rows) {
  if (entry.isFile) {
    rows.push({ path, file: await fileOf(entry) });
    return;
  }
  const reader = entry.createReader();
  for (let some = await readSome(reader); some.length; some = await readSome(reader)) {
    for (const child of some) await collect(child, `${path}/${child.name}`, rows);
  }
}
function readSome(reader) {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}
function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}
function below(rows) {
  const tops = new Set(rows.map(({ path }) => path.split("/")[0] ?? ""));
  const [top] = tops;
  if (tops.size !== 1 || !top || rows.some(({ path }) => !path.includes("/"))) {
    return { name: "dataset", files: rows, zip: false };
  }
  const shift = REPEATS.test(top) ? 0 : top.length + 1;
  const files = rows.map(({ path, file }) => ({ path: path.slice(shift), file }));
  return { name: plainName(top), files, zip: false };
}
function archive(file) {
  const name = plainName(file.name.replace(/\.zip$/i, "").replace(COPY_NUMBER, ""));
  return { name, files: [{ path: "", file }], zip: true };
}
function isZip(name) {
  return /\.zip$/i.test(name);
}
function plainName(name) {
  const plain = name.normalize("NFC").replace(/[^\p{L}\p{N}_ .-]+/gu, "_").replace(/\.{2,}/g, ".").replace(/^[^\p{L}\p{N}_]+|[ .]+$/gu, "");
  return [...plain].slice(0, 48).join("").replace(/[ .]+$/, "") || "dataset";
}

// web/src/upload.ts
var AT_ONCE = 3;
var MOST_IN_PARCEL = 200;
var ATTEMPTS = 4;
var PAUSE_MS = 700;
async function upload(found, tell, signal) {
  const bytes = found.files.reduce((sum, { file }) => sum + file.size, 0);
  const { answer: begun } = await ask(
    "POST",
    "/kiln/upload",
    { name: found.name, zip: found.zip, bytes },
    signal
  );
  const route = `/kiln/upload/${begun.id}`;
  try {
    const leftOut = [];
    const files = found.zip ? found.files.map(({ file }) => ({ path: begun.archive, file })) : found.files.filter(({ path, file }) => {
      const why = whyLeftOut(path, file, begun);
      if (why) leftOut.push([path, why]);
      return !why;
    });
    if (!files.length) throw new Error("There is no picture in what was dropped.");
    await sendAll(route, files, begun, tell, signal);
    const done = await commit(route, files.length, tell, signal);
    return { ...done, left_out: [...leftOut, ...done.left_out] };
  } catch (error) {
    void ask("DELETE", route).catch(() => {
    });
    throw error;
  }
}
async function sendAll(route, files, begun, tell, signal) {
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  let sent = 0;
  const say = () => tell({
    text: `Uploading ${megabytes(sent)} of ${megabytes(total)} MB`,
    part: total ? sent / total : null
  });
  say();
  const waiting = parcels(files, begun.parcel_bytes);
  const worker = async () => {
    for (let next = waiting.next(); !next.done; next = waiting.next()) {
      for (const parcel of next.value) {
        await persist(() => send(route, parcel, signal), signal);
        sent += parcel.reduce((sum, slice) => sum + slice.data.size, 0);
        say();
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
function* parcels(files, most) {
  let small = [];
  let size = 0;
  for (const { path, file } of files) {
    const whole = { path, offset: 0, size: file.size, data: file };
    if (file.size > most) {
      yield cut(path, file, most);
      continue;
    }
    if (size + file.size > most || small.length >= MOST_IN_PARCEL) {
      yield [small];
      [small, size] = [[], 0];
    }
    small.push(whole);
    size += file.size;
  }
  if (small.length) yield [small];
  return void 0;
}
function cut(path, file, most) {
  const slices = [];
  for (let offset = 0; offset < file.size; offset += most) {
    slices.push([{ path, offset, size: file.size, data: file.slice(offset, offset + most) }]);
  }
  return slices;
}
async function send(route, parcel, signal) {
  const rows = parcel.map(({ path, offset, size, data }) => ({
    path,
    offset,
    size,
    length: data.size
  }));
  const listing = new Blob([JSON.stringify(rows)]);
  const body = new Blob([listing, ...parcel.map(({ data }) => data)]);
  await ask("POST", `${route}/parcel?listing=${listing.size}`, body, signal);
}
async function commit(route, files, tell, signal) {
  for (; ; ) {
    tell({ text: "Almost there …", part: 1 });
    const { status, answer } = await persist(
      () => ask(
        "POST",
        `${route}/commit`,
        { files },
        signal
      ),
      signal
    );
    if (status === 200) return answer;
    tell({ text: `Unpacking ${answer.unpacked} of ${answer.of}`, part: null });
  }
}
async function persist(work, signal) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      const final = error instanceof ServerError && error.status < 500;
      if (signal.aborted || final || attempt === ATTEMPTS) {
        throw signal.aborted ? error : new Error(reason(error));
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 2 ** attempt));
    }
  }
}
function whyLeftOut(path, file, begun) {
  const parts = path.split("/");
  if (parts.some((part) => part.startsWith(".") || /^(thumbs\.db|desktop\.ini|__macosx)$/i.test(part))) {
    return "hidden, or the operating system's own";
  }
  if (path.includes("\\")) return "a backslash is in its name";
  const ending = /\.[^./]*$/.exec(path)?.[0].toLowerCase() ?? "";
  if (!begun.endings.includes(ending)) return "not a picture, mask, caption or metadata file";
  return file.size > begun.file_bytes ? `larger than ${Math.floor(begun.file_bytes / 2 ** 20)} MiB` : "";
}
function megabytes(bytes) {
  return (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
}

// web/src/upload_panel.ts
var MOST_LISTED = 40;
var LEAST_HEIGHT_PX2 = 62;
var GAP_PX2 = 6;
var MARGIN_PX = 10;
var UploadPanel = class {
  constructor(owner) {
    this.owner = owner;
    this.running.append(this.bar, this.cancel);
    const buttons = element(
      "div",
      { class: "kiln-bar" },
      button("Upload folder…", () => this.choose(true)),
      button("Upload zip…", () => this.choose(false)),
      button("Download zip", () => owner.download())
    );
    this.list.addEventListener("toggle", () => owner.resized());
    this.root.append(buttons, this.said, this.running, this.list);
    this.say("or drop a folder or a zip here");
    this.root.addEventListener("dragover", (event) => {
      if (!mayHold(event)) return;
      event.preventDefault();
      event.stopPropagation();
      this.root.toggleAttribute("data-over", true);
    });
    this.root.addEventListener("dragleave", () => this.root.removeAttribute("data-over"));
    this.root.addEventListener("drop", (event) => {
      if (!mayHold(event)) return;
      event.preventDefault();
      event.stopPropagation();
      void this.take(event);
    });
  }
  owner;
  root = element("div", { class: "kiln-upload" });
  said = element("div", { class: "kiln-told", "aria-live": "polite" });
  bar = element("progress", { max: "1", "aria-label": "Upload" });
  cancel = button("Cancel", () => this.stop?.abort());
  running = element("div", { class: "kiln-bar", hidden: "" });
  list = element("details", { hidden: "" });
  stop = null;
  /** As high as what it shows, in the graph's pixels; the graph keeps a margin around it. */
  height() {
    const rows = [...this.root.children].filter((own) => own instanceof HTMLElement && !own.hidden).map((own) => own.offsetHeight);
    const shown3 = rows.reduce((sum, height) => sum + height + GAP_PX2, 2 * GAP_PX2);
    return Math.max(shown3, LEAST_HEIGHT_PX2) + 2 * MARGIN_PX;
  }
  /** Something was dropped here, or on the node around. */
  async take(event) {
    this.root.removeAttribute("data-over");
    try {
      await this.start(await dropped(event));
    } catch (error) {
      this.say(reason(error), true);
    }
  }
  choose(folder) {
    const input = element("input", { type: "file" });
    if (folder) input.webkitdirectory = true;
    else input.accept = ".zip";
    input.addEventListener("change", () => void this.start(fromFiles([...input.files ?? []])));
    input.click();
  }
  async start(found) {
    if (this.stop) {
      this.say("Another upload is under way: wait for it, or cancel it.", true);
      return;
    }
    if (!found) {
      this.say("There is no file in what was dropped.", true);
      return;
    }
    const stop = new AbortController();
    this.stop = stop;
    this.running.hidden = false;
    this.list.hidden = true;
    this.owner.resized();
    try {
      const uploaded = await upload(found, ({ text, part }) => {
        this.say(text);
        if (part === null) this.bar.removeAttribute("value");
        else this.bar.value = part;
      }, stop.signal);
      this.finish(uploaded);
    } catch (error) {
      if (stop.signal.aborted) this.say("Cancelled: nothing was kept.");
      else this.say(reason(error), true);
    } finally {
      this.stop = null;
      this.running.hidden = true;
      this.owner.resized();
    }
  }
  finish(uploaded) {
    const { name, wanted, pictures, files, left_out: leftOut } = uploaded;
    const renamed = name === wanted ? "" : ` as ${name}, because ${wanted} was there already`;
    const others = files - pictures;
    const counted = `${many(pictures, "picture")} and ${many(others, "other file")}`;
    this.say(`${counted} uploaded${renamed}.`);
    if (leftOut.length) {
      const rows = leftOut.slice(0, MOST_LISTED).map(([path, why]) => element("li", {}, `${path}: ${why}`));
      if (leftOut.length > MOST_LISTED) {
        rows.push(element("li", {}, `and ${leftOut.length - MOST_LISTED} more`));
      }
      this.list.replaceChildren(
        element("summary", {}, `${many(leftOut.length, "file")} left out`),
        element("ul", {}, ...rows)
      );
      this.list.hidden = false;
      this.owner.resized();
    }
    this.owner.arrived(uploaded);
  }
  say(text, wrong = false) {
    this.said.textContent = text;
    this.said.toggleAttribute("data-wrong", wrong);
    this.owner.resized();
  }
};
function many(count, what) {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
function button(text, act) {
  const made = element("button", { type: "button" }, text);
  made.addEventListener("click", act);
  return made;
}

// web/src/picture_card.ts
var BADGES = {
  "": "",
  accepted: "✓ accepted",
  rejected: "✗ rejected",
  changed: "caption changed since"
};
var PictureCard = class {
  constructor(picture, owner) {
    this.picture = picture;
    this.owner = owner;
    const { name, marks, facts, note } = picture;
    this.root.setAttribute("aria-label", name);
    this.text.setAttribute("aria-label", `Caption of ${name}`);
    this.image.draggable = false;
    this.image.addEventListener("click", () => this.enlarge());
    this.image.addEventListener("error", () => this.showImage(false));
    this.image.addEventListener("load", () => this.showImage(true));
    const frame = element("div", { class: "kiln-frame" }, this.image, this.none, this.badge);
    const about = element("div", { class: "kiln-facts" }, ...facts.map((fact) => element("span", {}, fact)));
    const list = element("ul", { class: "kiln-marks" }, ...marks.map(([level, text]) => element("li", { "data-level": level, title: text }, text)));
    this.root.append(
      frame,
      element("div", { class: "kiln-name", title: name }, name),
      about,
      ...marks.length ? [list] : [],
      this.text,
      ...note ? [element("div", { class: "kiln-note", title: note }, note)] : [],
      this.trouble,
      element("div", { class: "kiln-bar" }, this.yes, this.no)
    );
    this.text.addEventListener("blur", () => void this.keep());
    this.text.addEventListener("keydown", (event) => this.typed(event));
    this.refresh();
  }
  picture;
  owner;
  root = element("div", { class: "kiln-card", role: "listitem", tabindex: "-1" });
  text = element("textarea", {
    rows: "4",
    spellcheck: "false",
    placeholder: "no caption"
  });
  badge = element("span", { class: "kiln-badge" });
  trouble = element("div", { class: "kiln-trouble", hidden: "" });
  yes = button("✓ Accept", () => void this.accept());
  no = button("✗ Reject", () => void this.reject());
  none = element(
    "span",
    { class: "kiln-none", hidden: "" },
    "cannot be shown"
  );
  image = element("img", { loading: "lazy", decoding: "async", alt: "" });
  saving = Promise.resolve(true);
  retired = false;
  /** Show the picture's state as it is now. */
  refresh() {
    const { decision, caption } = this.picture;
    if (!this.typing) this.text.value = this.picture.draft ?? caption ?? "";
    const locked = this.owner.locked(this.picture);
    const gone = decision === "rejected";
    this.root.dataset.decision = decision;
    this.badge.textContent = BADGES[decision];
    this.text.readOnly = gone || locked !== "";
    this.text.title = locked || "Enter edits, Ctrl+Enter saves and goes on, Escape takes back";
    this.yes.textContent = decision === "accepted" ? "✓ Accepted" : "✓ Accept";
    this.yes.setAttribute("aria-pressed", String(decision === "accepted"));
    this.no.textContent = gone ? "Restore" : "✗ Reject";
    for (const own of [this.yes, this.no]) {
      own.disabled = locked !== "";
      own.title = locked;
    }
    const address = this.picture.small();
    if (this.image.getAttribute("src") === address) return;
    this.showImage(true);
    this.image.src = address;
  }
  get typing() {
    return document.activeElement === this.text;
  }
  /** Another card will show this picture: what is being typed goes there, and is stored there. */
  retire() {
    const typed = this.text.value;
    if (this.typing && typed.trim() !== (this.picture.caption ?? "")) this.picture.draft = typed;
    this.retired = true;
  }
  edit() {
    if (!this.text.readOnly) this.text.focus({ preventScroll: true });
  }
  async accept() {
    if (!await this.keep()) return;
    const wanted = this.picture.decision === "accepted" ? "" : "accepted";
    if (await this.act(() => this.owner.decide(this, wanted)) && wanted) this.owner.next(this);
  }
  async reject() {
    if (!await this.keep()) return;
    const wanted = this.picture.decision === "rejected" ? "" : "rejected";
    if (await this.act(() => this.owner.decide(this, wanted)) && wanted) this.owner.next(this);
  }
  /** The picture as large as the grid; any key or click closes it. */
  enlarge() {
    const over = this.root.closest(".kiln-pictures");
    if (!over) return;
    const image = element("img", { alt: this.picture.name });
    const view = element("div", { class: "kiln-large", tabindex: "0" }, image);
    const close = (event) => {
      event.preventDefault();
      event.stopPropagation();
      view.remove();
      this.root.focus({ preventScroll: true });
    };
    view.addEventListener("click", close);
    view.addEventListener("keydown", close);
    image.src = this.picture.large();
    over.append(view);
    view.focus({ preventScroll: true });
  }
  typed(event) {
    event.stopPropagation();
    const next = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    if (event.key !== "Escape" && !next) return;
    event.preventDefault();
    if (event.key === "Escape") this.settleWith(this.picture.caption);
    this.root.focus({ preventScroll: true });
    if (next) this.owner.next(this);
  }
  /**
   * Store what was typed, where it is something new; whether nothing waits any more.
   *
   * One after another: a button that is clicked takes the keyboard from the text, which saves
   * itself, and then wants it saved, too.
   */
  keep() {
    this.saving = this.saving.then(() => this.store());
    return this.saving;
  }
  async store() {
    const typed = this.text.value.trim();
    if (this.text.readOnly || this.retired) return true;
    if (typed === (this.picture.caption ?? "")) {
      this.picture.draft = null;
      return true;
    }
    this.picture.draft = typed;
    const done = await this.act(() => this.owner.save(this, typed));
    if (!done) return false;
    this.picture.draft = null;
    if (this.text.value.trim() === typed) this.settleWith(this.picture.caption);
    return true;
  }
  showImage(shown3) {
    this.image.hidden = !shown3;
    this.none.hidden = shown3;
  }
  /** Nothing waits to be stored any more. */
  settleWith(caption) {
    this.picture.draft = null;
    this.trouble.hidden = true;
    this.text.value = caption ?? "";
  }
  async act(work) {
    if (this.owner.locked(this.picture)) return false;
    this.root.toggleAttribute("data-busy", true);
    this.trouble.hidden = true;
    try {
      await work();
      return true;
    } catch (error) {
      this.explain(error);
      return false;
    } finally {
      this.root.removeAttribute("data-busy");
    }
  }
  /** Say what went wrong; of a caption that others changed show both texts. */
  explain(error) {
    this.trouble.hidden = false;
    const now = changedMeanwhile(error);
    if (now === void 0) {
      this.trouble.replaceChildren(element("div", {}, reason(error)));
      return;
    }
    const mine = this.picture.draft ?? this.text.value.trim();
    const take = (text) => {
      this.picture.caption = now;
      this.settleWith(text);
      void this.keep();
    };
    this.trouble.replaceChildren(
      element("div", {}, now === null ? "The file was removed meanwhile." : "The file was changed meanwhile. It says:"),
      element("div", { class: "kiln-theirs" }, now || "(nothing)"),
      element(
        "div",
        { class: "kiln-bar" },
        button("Keep the file's text", () => take(now)),
        button("Save mine", () => take(mine))
      )
    );
  }
};
function changedMeanwhile(error) {
  if (!(error instanceof ServerError) || error.status !== 409) return void 0;
  const { now } = error.told;
  return typeof now === "string" || now === null ? now : void 0;
}

// web/src/picture_grid.ts
var SHOWN_AT_ONCE = 60;
var KEYS = "Keys: arrows go from picture to picture, Enter edits the caption, Ctrl+Enter saves it and goes on, A accepts, R rejects, U takes back, Space enlarges.";
var FILTERS = [
  { label: "All pictures", keeps: () => true },
  { label: "Not decided yet", keeps: ({ decision }) => decision === "" },
  { label: "Accepted", keeps: ({ decision }) => decision === "accepted" },
  { label: "Caption changed since accepted", keeps: ({ decision }) => decision === "changed" },
  { label: "Rejected", keeps: ({ decision }) => decision === "rejected" },
  { label: "Without a caption", keeps: ({ caption }) => !caption },
  { label: "With any mark", keeps: ({ marks }) => marks.length > 0 }
];
var PictureGrid = class {
  constructor(owner) {
    this.owner = owner;
    this.search.addEventListener("input", () => this.draw());
    this.chosen.addEventListener("change", () => this.draw());
    this.grid.addEventListener("keydown", (event) => this.pressed(event));
    for (const field of [this.search, this.chosen]) {
      field.addEventListener("keydown", (event) => event.stopPropagation());
    }
    new IntersectionObserver((seen) => {
      if (seen.some((own) => own.isIntersecting)) this.more();
    }, { root: this.scroller, rootMargin: "600px" }).observe(this.end);
    const again = button("Reload", () => void this.reload());
    const keys = button("Keys", () => this.say(KEYS));
    const bar = element(
      "div",
      { class: "kiln-bar" },
      this.search,
      this.chosen,
      this.undoButton,
      again,
      keys
    );
    this.root.append(bar, this.said, this.scroller);
    this.undoButton.disabled = true;
  }
  owner;
  root = element("div", { class: "kiln-pictures", "data-capture-wheel": "true" });
  said = element("div", { class: "kiln-told", "aria-live": "polite" });
  search = element("input", {
    type: "search",
    placeholder: "Search names and captions",
    "aria-label": "Search"
  });
  chosen = element("select", { "aria-label": "Which pictures are shown" });
  undoButton = button("Undo", () => void this.takeBack());
  grid = element("div", { class: "kiln-cards", role: "list" });
  end = element("div", { class: "kiln-end" });
  scroller = element("div", { class: "kiln-scroll" }, this.grid, this.end);
  pictures = [];
  filters = [];
  matching = [];
  cards = [];
  undos = [];
  /**
   * Show these pictures. Where it is the same dataset, what can be taken back stays so, and what
   * was typed and not stored stays with the text that it was typed over.
   */
  show(pictures, same = false) {
    const typing = same && this.cards.find((card) => card.typing)?.picture.key;
    if (same) {
      this.cards.forEach((card) => card.retire());
      const known = new Map(this.pictures.map((own) => [own.key, own]));
      this.pictures = pictures.map((fresh) => renewed(known.get(fresh.key), fresh));
    } else {
      this.pictures = pictures;
      this.undos = [];
    }
    const rules = new Set(pictures.flatMap(({ marks }) => marks.map(([, text]) => ruleOf(text))));
    this.filters = [...FILTERS, ...[...rules].sort().map((rule) => ({
      label: `Mark: ${rule}`,
      keeps: ({ marks }) => marks.some(([, text]) => ruleOf(text) === rule)
    }))];
    const at = Math.max(0, this.filters.findIndex(({ label }) => label === this.chosen.value));
    this.chosen.replaceChildren(
      ...this.filters.map(({ label }) => element("option", { value: label }, label))
    );
    this.chosen.selectedIndex = at;
    this.draw();
    if (typing) this.cards.find(({ picture }) => picture.key === typing)?.edit();
  }
  /** A sentence for the person. */
  say(text, wrong = false) {
    this.said.textContent = text;
    this.said.toggleAttribute("data-wrong", wrong);
  }
  locked(picture) {
    return this.owner.locked(picture);
  }
  async save(card, text) {
    await this.attempt(card, () => this.owner.save(card.picture, text));
  }
  async decide(card, decision) {
    await this.attempt(card, () => this.owner.decide(card.picture, decision));
  }
  /** Go to the card behind this one. */
  next(card) {
    this.focus(this.cards.indexOf(card) + 1);
  }
  async attempt(card, work) {
    try {
      const undo = await work();
      if (undo) this.undos.push(undo);
      this.count();
    } catch (error) {
      this.say(reason(error), true);
      throw error;
    } finally {
      card.refresh();
      const now = this.cards.find(({ picture }) => picture === card.picture);
      if (now !== card) now?.refresh();
    }
  }
  async takeBack() {
    const undo = this.undos.pop();
    if (!undo) return;
    try {
      await undo.act();
      this.cards.forEach((card) => card.refresh());
      this.count();
      this.say(`Taken back: ${undo.text}.`);
    } catch (error) {
      if (!(error instanceof ServerError) || error.status >= 500) this.undos.push(undo);
      this.say(reason(error), true);
    }
  }
  async reload() {
    try {
      await this.owner.reload();
    } catch (error) {
      this.say(reason(error), true);
    }
  }
  draw() {
    const words = this.search.value.trim().toLowerCase();
    const filter = this.filters[this.chosen.selectedIndex];
    this.matching = this.pictures.filter((picture) => (filter?.keeps(picture) ?? true) && (!words || `${picture.name}
${picture.caption ?? ""}`.toLowerCase().includes(words)));
    this.cards = [];
    this.grid.replaceChildren();
    this.scroller.scrollTop = 0;
    this.more();
    this.count();
  }
  more() {
    const from = this.cards.length;
    const made = this.matching.slice(from, from + SHOWN_AT_ONCE).map((picture) => new PictureCard(picture, this));
    this.cards.push(...made);
    this.grid.append(...made.map(({ root }) => root));
    if (from === 0) made[0]?.root.setAttribute("tabindex", "0");
  }
  count() {
    const of = (decision) => this.pictures.filter((picture) => picture.decision === decision).length;
    const shown3 = this.matching.length === this.pictures.length ? many(this.pictures.length, "picture") : `${this.matching.length} of ${many(this.pictures.length, "picture")}`;
    this.say(`${shown3}: ${of("accepted")} accepted, ${of("rejected")} rejected.`);
    const last = this.undos[this.undos.length - 1];
    this.undoButton.disabled = !last;
    this.undoButton.title = last ? `Take back: ${last.text}` : "Nothing to take back";
  }
  pressed(event) {
    const card = this.cards.find(({ root }) => root === event.target);
    event.stopPropagation();
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.cards.indexOf(card);
    const across = this.across();
    const aims = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at - across,
      ArrowDown: at + across,
      Home: 0,
      End: this.cards.length - 1
    };
    const acts = {
      Enter: () => card.edit(),
      " ": () => card.enlarge(),
      a: () => void card.accept(),
      r: () => void card.reject(),
      u: () => void this.takeBack()
    };
    const aim = aims[event.key];
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (aim !== void 0) this.focus(aim);
    else if (act) act();
    else return;
    event.preventDefault();
  }
  focus(at) {
    if (at >= this.cards.length) this.more();
    const card = this.cards[Math.min(Math.max(at, 0), this.cards.length - 1)];
    if (!card) return;
    this.grid.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    card.root.setAttribute("tabindex", "0");
    card.root.focus({ preventScroll: true });
    const view = this.scroller;
    const bottom = card.root.offsetTop + card.root.offsetHeight;
    view.scrollTop = Math.min(
      Math.max(bottom - view.clientHeight, view.scrollTop),
      card.root.offsetTop
    );
  }
  /** How many cards stand side by side. */
  across() {
    const top = this.cards[0]?.root.offsetTop;
    const below2 = this.cards.findIndex(({ root }) => root.offsetTop !== top);
    return below2 < 0 ? this.cards.length : below2;
  }
};
function renewed(known, fresh) {
  if (!known) return fresh;
  const { draft, caption, seen } = known;
  return Object.assign(known, fresh, draft === null ? {} : { draft, caption, seen });
}
function ruleOf(mark) {
  return mark.split(":", 1)[0] ?? "";
}

// web/src/curate.ts
var LEAST_HEIGHT_PX3 = 420;
var LEAST_WIDTH_PX = 560;
var Candidates = class {
  grid = new PictureGrid(this);
  waiting = { name: "", items: [] };
  typed = /* @__PURE__ */ new Map();
  /** The page tells of one run again and again: what was decided since is asked for. */
  async show(waiting) {
    const same = waiting.name === this.waiting.name;
    this.waiting = waiting;
    const query = new URLSearchParams({ name: waiting.name });
    const { answer } = await ask("GET", `/kiln/curate?${query}`);
    if (waiting !== this.waiting) return;
    const typed = same ? this.typed : /* @__PURE__ */ new Map();
    this.typed = typed;
    this.grid.show(waiting.items.map((row2) => {
      const own = asPicture({ ...row2, ...answer[row2.sha] }, row2.caption);
      const earlier = typed.get(row2.sha);
      if (own.decision !== "accepted" && earlier?.over === row2.caption) own.caption = earlier.text;
      return own;
    }), same);
  }
  reload() {
    return this.show(this.waiting);
  }
  locked() {
    return "";
  }
  async save(picture, text) {
    const before = picture.caption ?? "";
    await this.put(picture, picture.decision, text);
    return {
      text: `caption of ${picture.name}`,
      act: () => this.put(picture, picture.decision, before)
    };
  }
  async decide(picture, decision) {
    const before = picture.decision;
    await this.put(picture, decision, picture.caption ?? "");
    return {
      text: `${decision || "clearing"} ${picture.name}`,
      act: () => this.put(picture, before, picture.caption ?? "")
    };
  }
  async put(own, decision, caption) {
    if (decision !== own.decision || decision === "accepted") {
      await post("/kiln/curate/decide", {
        name: this.waiting.name,
        sha: own.sha,
        label: own.name,
        decision,
        caption
      });
    }
    if (caption !== own.caption) this.typed.set(own.sha, { over: own.given, text: caption });
    [own.decision, own.caption] = [decision, caption];
  }
};
function asPicture(row2, given) {
  const address = (size) => () => api3.apiURL(`/kiln/curate/picture?${new URLSearchParams({ sha: row2.sha, size: `${size}` })}`);
  return {
    sha: row2.sha,
    given,
    key: row2.sha,
    seen: null,
    draft: null,
    name: row2.name,
    small: address(320),
    large: address(1024),
    caption: row2.caption,
    decision: row2.decision,
    marks: [],
    note: "",
    facts: [row2.size.join(" × ")]
  };
}
var shown = /* @__PURE__ */ new WeakMap();
function show2(node, output) {
  const waiting = broughtBy(output, "kiln_curate");
  if (!waiting || !node.addDOMWidget) return;
  let candidates = shown.get(node);
  if (!candidates) {
    addStyle();
    candidates = new Candidates();
    shown.set(node, candidates);
    addElement(node, "kiln_curate", candidates.grid.root, () => LEAST_HEIGHT_PX3);
    grow(node, 120, LEAST_WIDTH_PX);
  }
  const { grid } = candidates;
  candidates.show(waiting).catch((error) => grid.say(String(error), true));
}
app3.registerExtension({
  name: "LoRAKiln.CurateImages",
  nodeCreated(node) {
    if (node.comfyClass === "KilnCurateImages") whenExecuted(node, (out) => show2(node, out));
  },
  onNodeOutputsUpdated(outputs) {
    for (const [place, output] of Object.entries(outputs)) {
      const node = broughtBy(output, "kiln_curate") && nodeAt(place);
      if (node) show2(node, output);
    }
  }
});

// web/src/downloads.ts
import { app as app4 } from "../../../scripts/app.js";
var runs = /* @__PURE__ */ new WeakMap();
var WITH_FOLDER = "Download dataset as zip";
app4.registerExtension({
  name: "LoRAKiln.Downloads",
  nodeCreated(node) {
    if (node.comfyClass !== "KilnTrainLora") return;
    whenExecuted(node, (output) => remember(node, output));
  },
  onNodeOutputsUpdated(outputs) {
    for (const [place, output] of Object.entries(outputs)) {
      const node = broughtBy(output, "kiln_train") && nodeAt(place);
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
    if (node.comfyClass !== "KilnTrainLora" || run === void 0) return [];
    return [
      { content: `Download run ${run} as zip`, callback: () => ofRun(run, false) },
      { content: `Download run ${run} with checkpoints`, callback: () => ofRun(run, true) }
    ];
  }
});
function remember(node, output) {
  const trained = broughtBy(output, "kiln_train");
  if (trained?.run) runs.set(node, trained.run);
}
function ofFolder(folder) {
  download("/kiln/download/dataset", { folder });
}
function ofRun(run, checkpoints) {
  download("/kiln/download/run", { run, checkpoints: checkpoints ? "1" : "0" });
}

// web/src/load_folder.ts
import { app as app5 } from "../../../scripts/app.js";
var LEAST_WIDTH_PX2 = 340;
app5.registerExtension({
  name: "LoRAKiln.LoadFolder",
  nodeCreated(node) {
    const folder = widgetOf(node, "folder");
    if (node.comfyClass !== "KilnLoadImageFolder" || !folder || !node.addDOMWidget) return;
    addStyle();
    const panel = new UploadPanel({
      arrived({ folder: name }) {
        offer(folder, name);
        folder.value = name;
        folder.callback?.(name, app5.canvas, node);
        void app5.refreshComboInNodes?.();
        node.graph?.setDirtyCanvas(true, true);
      },
      download: () => download("/kiln/download/dataset", { folder: String(folder.value) }),
      resized: () => grow(node)
    });
    addElement(node, "kiln_upload", panel.root, () => panel.height());
    grow(node, 0, LEAST_WIDTH_PX2);
    node.onDragOver = (event) => mayHold(event);
    node.onDragDrop = (event) => {
      if (!mayHold(event)) return false;
      void panel.take(event);
      return true;
    };
  }
});
function offer(folder, name) {
  const values = folder.options?.values;
  if (Array.isArray(values) && !values.includes(name)) values.push(name);
}

// web/src/review.ts
import { api as api4 } from "../../../scripts/api.js";
import { app as app6 } from "../../../scripts/app.js";
var LEAST_HEIGHT_PX4 = 420;
var LEAST_WIDTH_PX3 = 560;
var ReviewedDataset = class {
  grid = new PictureGrid(this);
  id = "";
  folders = "";
  async show(id) {
    this.id = id;
    const { answer } = await ask("GET", `/kiln/review/${id}`);
    if (id !== this.id) return;
    const folders = JSON.stringify(answer.folders);
    this.grid.show(answer.items.map((row2) => asPicture2(row2, answer)), folders === this.folders);
    this.folders = folders;
  }
  reload() {
    return this.show(this.id);
  }
  locked(picture) {
    const { writable } = picture;
    return writable ? "" : "These pictures came with the pack: download them, and upload them as your own.";
  }
  async save(picture, text) {
    const own = picture;
    const { folder, row: row2 } = own;
    const before = { caption: own.caption, seen: own.seen };
    try {
      const { change } = await post("/kiln/review/caption", {
        review: this.id,
        folder,
        file: row2.file,
        text,
        seen: own.seen
      });
      await this.put(own, text, text);
      return {
        text: `caption of ${row2.file}`,
        act: async () => {
          await post("/kiln/review/undo", { folder, change });
          await this.put(own, before.caption, before.seen);
        }
      };
    } catch (error) {
      const now = changedMeanwhile(error);
      if (now !== void 0) own.seen = now;
      throw error;
    }
  }
  async decide(picture, decision) {
    const own = picture;
    const before = own.decision;
    await this.move(own, decision);
    const what = { accepted: "accepting", rejected: "rejecting", changed: "", "": "clearing" };
    return {
      text: `${what[decision]} ${own.row.file}`,
      act: () => this.move(own, before === "changed" ? "" : before)
    };
  }
  /** From one decision to another; a rejected picture comes back before anything else. */
  async move(own, decision) {
    const { folder, row: row2 } = own;
    if (own.decision === "rejected" && row2.change) {
      await post("/kiln/review/undo", { folder, change: row2.change });
      own.decision = "";
      delete row2.change;
    }
    if (decision === "rejected") {
      const { change } = await post(
        "/kiln/review/reject",
        { folder, file: row2.file }
      );
      row2.change = change;
    } else if (decision !== own.decision) {
      await this.accept(own, decision === "accepted");
    }
    own.decision = decision;
  }
  /** The caption is another one; who accepted the picture has now accepted that. */
  async put(own, caption, seen) {
    [own.caption, own.seen] = [caption, seen];
    if (own.decision === "accepted") await this.accept(own, true);
  }
  async accept(own, accepted) {
    const { folder, row: row2, caption } = own;
    await post("/kiln/review/accept", { folder, file: row2.file, caption, accepted });
  }
};
function asPicture2(row2, review) {
  const folder = review.folders[row2.folder];
  const name = folder?.name ?? "";
  const [width, height] = row2.size;
  const address = (size) => () => {
    const query = { folder: name, file: row2.file, size: String(size), v: row2.stamp };
    return api4.apiURL(`/kiln/picture?${new URLSearchParams(query)}`);
  };
  const tokens = row2.tokens === void 0 ? [] : [`${row2.tokens} tokens${(row2.chunks ?? 1) > 1 ? ` in ${row2.chunks} chunks` : ""}`];
  const role = row2.role === "train" ? [] : [row2.role];
  return {
    row: row2,
    folder: name,
    writable: folder?.writable ?? false,
    key: `${name}/${row2.file}`,
    name: review.folders.length > 1 ? `${name}/${row2.file}` : row2.file,
    small: address(320),
    large: address(1024),
    caption: row2.caption,
    seen: row2.seen,
    draft: null,
    decision: row2.decision,
    marks: row2.marks ?? [],
    facts: [`${width} × ${height}`, ...tokens, ...role],
    note: row2.trouble ?? (row2.trained ? `Trained with: ${row2.trained}` : "")
  };
}
var shown2 = /* @__PURE__ */ new WeakMap();
function show3(node, output) {
  const told = broughtBy(output, "kiln_review");
  if (!told || !node.addDOMWidget) return;
  let review = shown2.get(node);
  if (!review) {
    addStyle();
    review = new ReviewedDataset();
    shown2.set(node, review);
    addElement(node, "kiln_review", review.grid.root, () => LEAST_HEIGHT_PX4);
    grow(node, 120, LEAST_WIDTH_PX3);
  }
  const { grid } = review;
  review.show(told.id).catch((error) => grid.say(String(error), true));
}
app6.registerExtension({
  name: "LoRAKiln.ReviewDataset",
  nodeCreated(node) {
    if (node.comfyClass === "KilnReviewDataset") whenExecuted(node, (out) => show3(node, out));
  },
  onNodeOutputsUpdated(outputs) {
    for (const [place, output] of Object.entries(outputs)) {
      const node = broughtBy(output, "kiln_review") && nodeAt(place);
      if (node) show3(node, output);
    }
  }
});
