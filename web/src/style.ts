// Looks of the cell grid, in the colours of ComfyUI's theme.

import { element } from "./dom";
import { PICTURES_SHEET } from "./style_pictures";

const SHEET = `
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

export function addStyle(): void {
  if (!document.getElementById("kiln-style")) {
    document.head.append(element("style", { id: "kiln-style" }, SHEET, PICTURES_SHEET));
  }
}
