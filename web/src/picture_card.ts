// One picture with its caption and what a person can do with it.

import { element } from "./dom";
import { ServerError, reason } from "./server";
import { button } from "./upload_panel";

export type Decision = "" | "accepted" | "rejected" | "changed";

export interface Picture {
  /** Tells it from the others, also when they are read again. */
  key: string;
  name: string;
  /** Addresses of the small and of the large picture. */
  small: () => string;
  large: () => string;
  caption: string | null;
  /** What the caption's file said when it was shown; null where there was none. */
  seen: string | null;
  /** What was typed and is not stored yet; null where nothing was. */
  draft: string | null;
  decision: Decision;
  /** Level and text of each finding. */
  marks: [string, string][];
  /** Short facts: size, tokens. */
  facts: string[];
  /** What else has to be said: what the graph makes of the caption, or why it is not read. */
  note: string;
}

export interface CardOwner {
  locked(picture: Picture): string;
  save(card: PictureCard, text: string): Promise<void>;
  decide(card: PictureCard, decision: Decision): Promise<void>;
  next(card: PictureCard): void;
}

const BADGES: Record<Decision, string> = {
  "": "", accepted: "✓ accepted", rejected: "✗ rejected", changed: "caption changed since",
};

export class PictureCard {
  readonly root = element("div", { class: "kiln-card", role: "listitem", tabindex: "-1" });
  private readonly text = element("textarea", {
    rows: "4", spellcheck: "false", placeholder: "no caption",
  });
  private readonly badge = element("span", { class: "kiln-badge" });
  private readonly trouble = element("div", { class: "kiln-trouble", hidden: "" });
  private readonly yes = button("✓ Accept", () => void this.accept());
  private readonly no = button("✗ Reject", () => void this.reject());
  private readonly none = element(
    "span", { class: "kiln-none", hidden: "" }, "cannot be shown",
  );
  private readonly image = element("img", { loading: "lazy", decoding: "async", alt: "" });
  private saving: Promise<boolean> = Promise.resolve(true);
  private retired = false;

  constructor(readonly picture: Picture, private readonly owner: CardOwner) {
    const { name, marks, facts, note } = picture;
    this.root.setAttribute("aria-label", name);
    this.text.setAttribute("aria-label", `Caption of ${name}`);
    this.image.draggable = false;
    this.image.addEventListener("click", () => this.enlarge());
    // Kept and not replaced: a picture that comes back is shown again.
    this.image.addEventListener("error", () => this.showImage(false));
    this.image.addEventListener("load", () => this.showImage(true));
    const frame = element("div", { class: "kiln-frame" }, this.image, this.none, this.badge);
    const about = element("div", { class: "kiln-facts" }, ...facts.map((fact) =>
      element("span", {}, fact)));
    const list = element("ul", { class: "kiln-marks" }, ...marks.map(([level, text]) =>
      element("li", { "data-level": level, title: text }, text)));
    this.root.append(
      frame, element("div", { class: "kiln-name", title: name }, name), about,
      ...(marks.length ? [list] : []), this.text,
      ...(note ? [element("div", { class: "kiln-note", title: note }, note)] : []),
      this.trouble, element("div", { class: "kiln-bar" }, this.yes, this.no),
    );
    this.text.addEventListener("blur", () => void this.keep());
    this.text.addEventListener("keydown", (event) => this.typed(event));
    this.refresh();
  }

  /** Show the picture's state as it is now. */
  refresh(): void {
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
    this.showImage(true); // A hidden one is not loaded.
    this.image.src = address;
  }

  get typing(): boolean {
    return document.activeElement === this.text;
  }

  /** Another card will show this picture: what is being typed goes there, and is stored there. */
  retire(): void {
    const typed = this.text.value;
    if (this.typing && typed.trim() !== (this.picture.caption ?? "")) this.picture.draft = typed;
    this.retired = true;
  }

  edit(): void {
    if (!this.text.readOnly) this.text.focus({ preventScroll: true });
  }

  async accept(): Promise<void> {
    // What could not be stored has to be looked at first: it says why.
    if (!await this.keep()) return;
    const wanted = this.picture.decision === "accepted" ? "" : "accepted";
    if (await this.act(() => this.owner.decide(this, wanted)) && wanted) this.owner.next(this);
  }

  async reject(): Promise<void> {
    if (!await this.keep()) return;
    const wanted = this.picture.decision === "rejected" ? "" : "rejected";
    if (await this.act(() => this.owner.decide(this, wanted)) && wanted) this.owner.next(this);
  }

  /** The picture as large as the grid; any key or click closes it. */
  enlarge(): void {
    const over = this.root.closest(".kiln-pictures");
    if (!over) return;
    const image = element("img", { alt: this.picture.name });
    const view = element("div", { class: "kiln-large", tabindex: "0" }, image);
    const close = (event: Event): void => {
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

  private typed(event: KeyboardEvent): void {
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
  private keep(): Promise<boolean> {
    this.saving = this.saving.then(() => this.store());
    return this.saving;
  }

  private async store(): Promise<boolean> {
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
    // Unless typing went on meanwhile.
    if (this.text.value.trim() === typed) this.settleWith(this.picture.caption);
    return true;
  }

  private showImage(shown: boolean): void {
    this.image.hidden = !shown;
    this.none.hidden = shown;
  }

  /** Nothing waits to be stored any more. */
  private settleWith(caption: string | null): void {
    this.picture.draft = null;
    this.trouble.hidden = true;
    this.text.value = caption ?? "";
  }

  private async act(work: () => Promise<void>): Promise<boolean> {
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
  private explain(error: unknown): void {
    this.trouble.hidden = false;
    const now = changedMeanwhile(error);
    if (now === undefined) {
      this.trouble.replaceChildren(element("div", {}, reason(error)));
      return;
    }
    const mine = this.picture.draft ?? this.text.value.trim();
    const take = (text: string | null): void => {
      this.picture.caption = now;
      this.settleWith(text);
      void this.keep();
    };
    this.trouble.replaceChildren(
      element("div", {}, now === null ? "The file was removed meanwhile."
        : "The file was changed meanwhile. It says:"),
      element("div", { class: "kiln-theirs" }, now || "(nothing)"),
      element("div", { class: "kiln-bar" },
        button("Keep the file's text", () => take(now)),
        button("Save mine", () => take(mine))),
    );
  }
}

/** What a caption's file says that others changed (null: it is gone); else undefined. */
export function changedMeanwhile(error: unknown): string | null | undefined {
  if (!(error instanceof ServerError) || error.status !== 409) return undefined;
  const { now } = error.told;
  return typeof now === "string" || now === null ? now : undefined;
}
