// The Curate Images node: pictures that become a dataset as they are accepted.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { addElement, broughtBy, grow, nodeAt, whenExecuted } from "./nodes";
import type { Decision, Picture } from "./picture_card";
import { type GridOwner, PictureGrid, type Undo } from "./picture_grid";
import { ask, post } from "./server";
import { addStyle } from "./style";

const LEAST_HEIGHT_PX = 420;
const LEAST_WIDTH_PX = 560;

interface Row {
  sha: string;
  name: string;
  caption: string;
  size: [number, number];
  decision: Decision;
}

interface Waiting { name: string; items: Row[] }
type Decided = Record<string, { decision: Decision; caption?: string }>;
/** Given: the caption that came with it. */
interface Candidate extends Picture { sha: string; given: string }
interface Typed { over: string; text: string }

class Candidates implements GridOwner {
  readonly grid = new PictureGrid(this);
  private waiting: Waiting = { name: "", items: [] };
  private typed = new Map<string, Typed>();

  /** The page tells of one run again and again: what was decided since is asked for. */
  async show(waiting: Waiting): Promise<void> {
    const same = waiting.name === this.waiting.name;
    this.waiting = waiting;
    const query = new URLSearchParams({ name: waiting.name });
    const { answer } = await ask<Decided>("GET", `/kiln/curate?${query}`);
    if (waiting !== this.waiting) return; // Another one was asked for meanwhile.
    const typed = same ? this.typed : new Map<string, Typed>();
    this.typed = typed;
    this.grid.show(waiting.items.map((row) => {
      const own = asPicture({ ...row, ...answer[row.sha] }, row.caption);
      const earlier = typed.get(row.sha);
      // Until a picture is accepted, what was typed for it stands only here.
      if (own.decision !== "accepted" && earlier?.over === row.caption) own.caption = earlier.text;
      return own;
    }), same);
  }

  reload(): Promise<void> {
    return this.show(this.waiting);
  }

  locked(): string {
    return "";
  }

  async save(picture: Picture, text: string): Promise<Undo> {
    const before = picture.caption ?? "";
    await this.put(picture as Candidate, picture.decision, text);
    return {
      text: `caption of ${picture.name}`,
      act: () => this.put(picture as Candidate, picture.decision, before),
    };
  }

  async decide(picture: Picture, decision: Decision): Promise<Undo> {
    const before = picture.decision;
    await this.put(picture as Candidate, decision, picture.caption ?? "");
    return {
      text: `${decision || "clearing"} ${picture.name}`,
      act: () => this.put(picture as Candidate, before, picture.caption ?? ""),
    };
  }

  private async put(own: Candidate, decision: Decision, caption: string): Promise<void> {
    // Until a picture is accepted, its caption stands only here.
    if (decision !== own.decision || decision === "accepted") {
      await post("/kiln/curate/decide", {
        name: this.waiting.name, sha: own.sha, label: own.name, decision, caption,
      });
    }
    if (caption !== own.caption) this.typed.set(own.sha, { over: own.given, text: caption });
    [own.decision, own.caption] = [decision, caption];
  }
}

function asPicture(row: Row, given: string): Candidate {
  const address = (size: number) => () =>
    api.apiURL(`/kiln/curate/picture?${new URLSearchParams({ sha: row.sha, size: `${size}` })}`);
  return {
    sha: row.sha, given, key: row.sha, seen: null, draft: null, name: row.name, small: address(320), large: address(1024),
    caption: row.caption, decision: row.decision, marks: [], note: "",
    facts: [row.size.join(" × ")],
  };
}

const shown = new WeakMap<ComfyNode, Candidates>();

function show(node: ComfyNode, output: unknown): void {
  const waiting = broughtBy<Waiting>(output, "kiln_curate");
  if (!waiting || !node.addDOMWidget) return;
  let candidates = shown.get(node);
  if (!candidates) {
    addStyle();
    candidates = new Candidates();
    shown.set(node, candidates);
    addElement(node, "kiln_curate", candidates.grid.root, () => LEAST_HEIGHT_PX);
    grow(node, 120, LEAST_WIDTH_PX);
  }
  const { grid } = candidates;
  candidates.show(waiting).catch((error: unknown) => grid.say(String(error), true));
}

app.registerExtension({
  name: "LoRAKiln.CurateImages",

  nodeCreated(node) {
    if (node.comfyClass === "KilnCurateImages") whenExecuted(node, (out) => show(node, out));
  },

  onNodeOutputsUpdated(outputs) {
    for (const [place, output] of Object.entries(outputs)) {
      const node = broughtBy<object>(output, "kiln_curate") && nodeAt(place);
      if (node) show(node, output);
    }
  },
});
