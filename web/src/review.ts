// The Review Dataset node: its pictures in a grid, with captions that are saved to their files.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { addElement, broughtBy, grow, nodeAt, whenExecuted } from "./nodes";
import { type Decision, type Picture, changedMeanwhile } from "./picture_card";
import { type GridOwner, PictureGrid, type Undo } from "./picture_grid";
import { ask, post } from "./server";
import { addStyle } from "./style";

const LEAST_HEIGHT_PX = 420;
const LEAST_WIDTH_PX = 560;

interface Row {
  folder: number;
  file: string;
  size: [number, number];
  role: string;
  caption: string | null;
  /** What the caption file said; null where there is none. */
  seen: string | null;
  decision: Decision;
  stamp: string;
  trained?: string;
  trouble?: string;
  tokens?: number;
  chunks?: number;
  marks?: [string, string][];
  change?: string;
}

interface Review {
  folders: { name: string; writable: boolean }[];
  items: Row[];
}

/** A picture with what the server has to be told about it. */
interface Reviewed extends Picture {
  row: Row;
  folder: string;
  writable: boolean;
}

class ReviewedDataset implements GridOwner {
  readonly grid = new PictureGrid(this);
  private id = "";
  private folders = "";

  async show(id: string): Promise<void> {
    this.id = id;
    const { answer } = await ask<Review>("GET", `/kiln/review/${id}`);
    if (id !== this.id) return; // Another one was asked for meanwhile.
    // Of another queue the id is another, and the folders are the same.
    const folders = JSON.stringify(answer.folders);
    this.grid.show(answer.items.map((row) => asPicture(row, answer)), folders === this.folders);
    this.folders = folders;
  }

  reload(): Promise<void> {
    return this.show(this.id);
  }

  locked(picture: Picture): string {
    const { writable } = picture as Reviewed;
    return writable ? ""
      : "These pictures came with the pack: download them, and upload them as your own.";
  }

  async save(picture: Picture, text: string): Promise<Undo> {
    const own = picture as Reviewed;
    const { folder, row } = own;
    const before = { caption: own.caption, seen: own.seen };
    try {
      const { change } = await post<{ change: string }>("/kiln/review/caption", {
        review: this.id, folder, file: row.file, text, seen: own.seen,
      });
      await this.put(own, text, text);
      return {
        text: `caption of ${row.file}`,
        act: async () => {
          await post("/kiln/review/undo", { folder, change });
          await this.put(own, before.caption, before.seen);
        },
      };
    } catch (error) {
      // What the file says is what the next attempt has to have seen.
      const now = changedMeanwhile(error);
      if (now !== undefined) own.seen = now;
      throw error;
    }
  }

  async decide(picture: Picture, decision: Decision): Promise<Undo | null> {
    const own = picture as Reviewed;
    const before = own.decision;
    await this.move(own, decision);
    const what = { accepted: "accepting", rejected: "rejecting", changed: "", "": "clearing" };
    return {
      text: `${what[decision]} ${own.row.file}`,
      act: () => this.move(own, before === "changed" ? "" : before),
    };
  }

  /** From one decision to another; a rejected picture comes back before anything else. */
  private async move(own: Reviewed, decision: Decision): Promise<void> {
    const { folder, row } = own;
    if (own.decision === "rejected" && row.change) {
      await post("/kiln/review/undo", { folder, change: row.change });
      own.decision = "";
      delete row.change;
    }
    if (decision === "rejected") {
      const { change } = await post<{ change: string }>(
        "/kiln/review/reject", { folder, file: row.file },
      );
      row.change = change;
    } else if (decision !== own.decision) {
      await this.accept(own, decision === "accepted");
    }
    own.decision = decision;
  }

  /** The caption is another one; who accepted the picture has now accepted that. */
  private async put(own: Reviewed, caption: string | null, seen: string | null): Promise<void> {
    [own.caption, own.seen] = [caption, seen];
    if (own.decision === "accepted") await this.accept(own, true);
  }

  private async accept(own: Reviewed, accepted: boolean): Promise<void> {
    const { folder, row, caption } = own;
    await post("/kiln/review/accept", { folder, file: row.file, caption, accepted });
  }
}

function asPicture(row: Row, review: Review): Reviewed {
  const folder = review.folders[row.folder];
  const name = folder?.name ?? "";
  const [width, height] = row.size;
  const address = (size: number) => () => {
    const query = { folder: name, file: row.file, size: String(size), v: row.stamp };
    return api.apiURL(`/kiln/picture?${new URLSearchParams(query)}`);
  };
  const tokens = row.tokens === undefined ? []
    : [`${row.tokens} tokens${(row.chunks ?? 1) > 1 ? ` in ${row.chunks} chunks` : ""}`];
  const role = row.role === "train" ? [] : [row.role];
  return {
    row, folder: name, writable: folder?.writable ?? false, key: `${name}/${row.file}`,
    name: review.folders.length > 1 ? `${name}/${row.file}` : row.file,
    small: address(320), large: address(1024),
    caption: row.caption, seen: row.seen, draft: null, decision: row.decision,
    marks: row.marks ?? [],
    facts: [`${width} × ${height}`, ...tokens, ...role],
    note: row.trouble ?? (row.trained ? `Trained with: ${row.trained}` : ""),
  };
}

const shown = new WeakMap<ComfyNode, ReviewedDataset>();

function show(node: ComfyNode, output: unknown): void {
  const told = broughtBy<{ id: string }>(output, "kiln_review");
  if (!told || !node.addDOMWidget) return;
  let review = shown.get(node);
  if (!review) {
    addStyle();
    review = new ReviewedDataset();
    shown.set(node, review);
    addElement(node, "kiln_review", review.grid.root, () => LEAST_HEIGHT_PX);
    grow(node, 120, LEAST_WIDTH_PX);
  }
  const { grid } = review;
  review.show(told.id).catch((error: unknown) => grid.say(String(error), true));
}

app.registerExtension({
  name: "LoRAKiln.ReviewDataset",

  nodeCreated(node) {
    if (node.comfyClass === "KilnReviewDataset") whenExecuted(node, (out) => show(node, out));
  },

  onNodeOutputsUpdated(outputs) {
    for (const [place, output] of Object.entries(outputs)) {
      const node = broughtBy<object>(output, "kiln_review") && nodeAt(place);
      if (node) show(node, output);
    }
  },
});
