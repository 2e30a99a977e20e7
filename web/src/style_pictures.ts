// Looks of the upload panel and of the grids of pictures, in the colours of ComfyUI's theme.

export const PICTURES_SHEET = `
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
