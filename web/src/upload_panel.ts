// The row of buttons on a node with a dataset's folder, and what an upload has to say.

import { element } from "./dom";
import { type Found, dropped, fromFiles, mayHold } from "./dropped";
import { reason } from "./server";
import { type Uploaded, upload } from "./upload";

const MOST_LISTED = 40;
const LEAST_HEIGHT_PX = 62;
const GAP_PX = 6;
const MARGIN_PX = 10;

export interface PanelOwner {
  /** A dataset has arrived. */
  arrived(uploaded: Uploaded): void;
  /** Asked for by the third button. */
  download(): void;
  /** The panel has become higher or lower. */
  resized(): void;
}

export class UploadPanel {
  readonly root = element("div", { class: "kiln-upload" });
  private readonly said = element("div", { class: "kiln-told", "aria-live": "polite" });
  private readonly bar = element("progress", { max: "1", "aria-label": "Upload" });
  private readonly cancel = button("Cancel", () => this.stop?.abort());
  private readonly running = element("div", { class: "kiln-bar", hidden: "" });
  private readonly list = element("details", { hidden: "" });
  private stop: AbortController | null = null;

  constructor(private readonly owner: PanelOwner) {
    this.running.append(this.bar, this.cancel);
    const buttons = element(
      "div", { class: "kiln-bar" },
      button("Upload folder…", () => this.choose(true)),
      button("Upload zip…", () => this.choose(false)),
      button("Download zip", () => owner.download()),
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

  /** As high as what it shows, in the graph's pixels; the graph keeps a margin around it. */
  height(): number {
    const rows = [...this.root.children].filter((own) => own instanceof HTMLElement && !own.hidden)
      .map((own) => (own as HTMLElement).offsetHeight);
    const shown = rows.reduce((sum, height) => sum + height + GAP_PX, 2 * GAP_PX);
    return Math.max(shown, LEAST_HEIGHT_PX) + 2 * MARGIN_PX;
  }

  /** Something was dropped here, or on the node around. */
  async take(event: DragEvent): Promise<void> {
    this.root.removeAttribute("data-over");
    try {
      await this.start(await dropped(event));
    } catch (error) {
      this.say(reason(error), true);
    }
  }

  private choose(folder: boolean): void {
    const input = element("input", { type: "file" });
    if (folder) input.webkitdirectory = true;
    else input.accept = ".zip";
    input.addEventListener("change", () => void this.start(fromFiles([...input.files ?? []])));
    input.click();
  }

  private async start(found: Found | null): Promise<void> {
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

  private finish(uploaded: Uploaded): void {
    const { name, wanted, pictures, files, left_out: leftOut } = uploaded;
    const renamed = name === wanted ? "" : ` as ${name}, because ${wanted} was there already`;
    const others = files - pictures;
    const counted = `${many(pictures, "picture")} and ${many(others, "other file")}`;
    this.say(`${counted} uploaded${renamed}.`);
    if (leftOut.length) {
      const rows = leftOut.slice(0, MOST_LISTED)
        .map(([path, why]) => element("li", {}, `${path}: ${why}`));
      if (leftOut.length > MOST_LISTED) {
        rows.push(element("li", {}, `and ${leftOut.length - MOST_LISTED} more`));
      }
      this.list.replaceChildren(
        element("summary", {}, `${many(leftOut.length, "file")} left out`),
        element("ul", {}, ...rows),
      );
      this.list.hidden = false;
      this.owner.resized();
    }
    this.owner.arrived(uploaded);
  }

  private say(text: string, wrong = false): void {
    this.said.textContent = text;
    this.said.toggleAttribute("data-wrong", wrong);
    this.owner.resized();
  }
}

export function many(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

export function button(text: string, act: () => void): HTMLButtonElement {
  const made = element("button", { type: "button" }, text);
  made.addEventListener("click", act);
  return made;
}
