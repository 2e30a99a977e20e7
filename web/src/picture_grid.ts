// Pictures with captions that are edited in place, accepted or rejected, by mouse or by keys.

import { element } from "./dom";
import { type CardOwner, type Decision, type Picture, PictureCard } from "./picture_card";
import { ServerError, reason } from "./server";
import { button, many } from "./upload_panel";

const SHOWN_AT_ONCE = 60;
const KEYS = "Keys: arrows go from picture to picture, Enter edits the caption, Ctrl+Enter saves it "
  + "and goes on, A accepts, R rejects, U takes back, Space enlarges.";

/** How to take back what was done. */
export interface Undo {
  text: string;
  act: () => Promise<void>;
}

export interface GridOwner {
  /** Store a caption; a refusal leaves the text where it is. */
  save(picture: Picture, text: string): Promise<Undo | null>;
  decide(picture: Picture, decision: Decision): Promise<Undo | null>;
  /** Read what stands on the server now. */
  reload(): Promise<void>;
  /** Why nothing can be changed here; empty when it can. */
  locked(picture: Picture): string;
}

interface Filter {
  label: string;
  keeps: (picture: Picture) => boolean;
}

const FILTERS: readonly Filter[] = [
  { label: "All pictures", keeps: () => true },
  { label: "Not decided yet", keeps: ({ decision }) => decision === "" },
  { label: "Accepted", keeps: ({ decision }) => decision === "accepted" },
  { label: "Caption changed since accepted", keeps: ({ decision }) => decision === "changed" },
  { label: "Rejected", keeps: ({ decision }) => decision === "rejected" },
  { label: "Without a caption", keeps: ({ caption }) => !caption },
  { label: "With any mark", keeps: ({ marks }) => marks.length > 0 },
];

export class PictureGrid implements CardOwner {
  readonly root = element("div", { class: "kiln-pictures", "data-capture-wheel": "true" });
  private readonly said = element("div", { class: "kiln-told", "aria-live": "polite" });
  private readonly search = element("input", {
    type: "search", placeholder: "Search names and captions", "aria-label": "Search",
  });
  private readonly chosen = element("select", { "aria-label": "Which pictures are shown" });
  private readonly undoButton = button("Undo", () => void this.takeBack());
  private readonly grid = element("div", { class: "kiln-cards", role: "list" });
  private readonly end = element("div", { class: "kiln-end" });
  private readonly scroller = element("div", { class: "kiln-scroll" }, this.grid, this.end);
  private pictures: readonly Picture[] = [];
  private filters: Filter[] = [];
  private matching: Picture[] = [];
  private cards: PictureCard[] = [];
  private undos: Undo[] = [];

  constructor(private readonly owner: GridOwner) {
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
    const bar = element("div", { class: "kiln-bar" }, this.search, this.chosen,
      this.undoButton, again, keys);
    this.root.append(bar, this.said, this.scroller);
    this.undoButton.disabled = true;
  }

  /**
   * Show these pictures. Where it is the same dataset, what can be taken back stays so, and what
   * was typed and not stored stays with the text that it was typed over.
   */
  show(pictures: readonly Picture[], same = false): void {
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
      keeps: ({ marks }: Picture) => marks.some(([, text]) => ruleOf(text) === rule),
    }))];
    const at = Math.max(0, this.filters.findIndex(({ label }) => label === this.chosen.value));
    this.chosen.replaceChildren(
      ...this.filters.map(({ label }) => element("option", { value: label }, label)),
    );
    this.chosen.selectedIndex = at;
    this.draw();
    if (typing) this.cards.find(({ picture }) => picture.key === typing)?.edit();
  }

  /** A sentence for the person. */
  say(text: string, wrong = false): void {
    this.said.textContent = text;
    this.said.toggleAttribute("data-wrong", wrong);
  }

  locked(picture: Picture): string {
    return this.owner.locked(picture);
  }

  async save(card: PictureCard, text: string): Promise<void> {
    await this.attempt(card, () => this.owner.save(card.picture, text));
  }

  async decide(card: PictureCard, decision: Decision): Promise<void> {
    await this.attempt(card, () => this.owner.decide(card.picture, decision));
  }

  /** Go to the card behind this one. */
  next(card: PictureCard): void {
    this.focus(this.cards.indexOf(card) + 1);
  }

  private async attempt(card: PictureCard, work: () => Promise<Undo | null>): Promise<void> {
    try {
      const undo = await work();
      if (undo) this.undos.push(undo);
      this.count();
    } catch (error) {
      this.say(reason(error), true);
      throw error;
    } finally {
      card.refresh();
      // It may have been drawn anew meanwhile.
      const now = this.cards.find(({ picture }) => picture === card.picture);
      if (now !== card) now?.refresh();
    }
  }

  private async takeBack(): Promise<void> {
    const undo = this.undos.pop();
    if (!undo) return;
    try {
      await undo.act();
      this.cards.forEach((card) => card.refresh());
      this.count();
      this.say(`Taken back: ${undo.text}.`);
    } catch (error) {
      // What the server refuses it would refuse again; what did not reach it can be tried again.
      if (!(error instanceof ServerError) || error.status >= 500) this.undos.push(undo);
      this.say(reason(error), true);
    }
  }

  private async reload(): Promise<void> {
    try {
      await this.owner.reload();
    } catch (error) {
      this.say(reason(error), true);
    }
  }

  private draw(): void {
    const words = this.search.value.trim().toLowerCase();
    const filter = this.filters[this.chosen.selectedIndex];
    this.matching = this.pictures.filter((picture) =>
      (filter?.keeps(picture) ?? true)
      && (!words || `${picture.name}\n${picture.caption ?? ""}`.toLowerCase().includes(words)));
    this.cards = [];
    this.grid.replaceChildren();
    this.scroller.scrollTop = 0;
    this.more();
    this.count();
  }

  private more(): void {
    const from = this.cards.length;
    const made = this.matching.slice(from, from + SHOWN_AT_ONCE)
      .map((picture) => new PictureCard(picture, this));
    this.cards.push(...made);
    this.grid.append(...made.map(({ root }) => root));
    if (from === 0) made[0]?.root.setAttribute("tabindex", "0");
  }

  private count(): void {
    const of = (decision: Decision) =>
      this.pictures.filter((picture) => picture.decision === decision).length;
    const shown = this.matching.length === this.pictures.length
      ? many(this.pictures.length, "picture")
      : `${this.matching.length} of ${many(this.pictures.length, "picture")}`;
    this.say(`${shown}: ${of("accepted")} accepted, ${of("rejected")} rejected.`);
    const last = this.undos[this.undos.length - 1];
    this.undoButton.disabled = !last;
    this.undoButton.title = last ? `Take back: ${last.text}` : "Nothing to take back";
  }

  private pressed(event: KeyboardEvent): void {
    const card = this.cards.find(({ root }) => root === event.target);
    // ComfyUI's own shortcuts must not hear keys that are meant for the grid, or for a button in
    // it: Delete would delete the node.
    event.stopPropagation();
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.cards.indexOf(card);
    const across = this.across();
    const aims: Record<string, number> = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - across, ArrowDown: at + across,
      Home: 0, End: this.cards.length - 1,
    };
    const acts: Record<string, () => void> = {
      Enter: () => card.edit(),
      " ": () => card.enlarge(),
      a: () => void card.accept(),
      r: () => void card.reject(),
      u: () => void this.takeBack(),
    };
    const aim = aims[event.key];
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (aim !== undefined) this.focus(aim);
    else if (act) act();
    else return;
    event.preventDefault();
  }

  private focus(at: number): void {
    if (at >= this.cards.length) this.more();
    const card = this.cards[Math.min(Math.max(at, 0), this.cards.length - 1)];
    if (!card) return;
    this.grid.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    card.root.setAttribute("tabindex", "0");
    card.root.focus({ preventScroll: true });
    const view = this.scroller;
    const bottom = card.root.offsetTop + card.root.offsetHeight;
    view.scrollTop = Math.min(Math.max(bottom - view.clientHeight, view.scrollTop),
      card.root.offsetTop);
  }

  /** How many cards stand side by side. */
  private across(): number {
    const top = this.cards[0]?.root.offsetTop;
    const below = this.cards.findIndex(({ root }) => root.offsetTop !== top);
    return below < 0 ? this.cards.length : below;
  }
}

/** A picture as it is now, as the same object: what can be taken back is bound to that. */
function renewed(known: Picture | undefined, fresh: Picture): Picture {
  if (!known) return fresh;
  const { draft, caption, seen } = known;
  // A text that was typed over an older one must still meet what others wrote meanwhile.
  return Object.assign(known, fresh, draft === null ? {} : { draft, caption, seen });
}

/** Marks begin with the name of the rule that found them. */
function ruleOf(mark: string): string {
  return mark.split(":", 1)[0] ?? "";
}
