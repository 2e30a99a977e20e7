// What a person dropped or chose: files with their paths below the folder, or one archive.

export interface Found {
  /** What the dataset shall be called. */
  name: string;
  /** Files of a folder, or a single archive. */
  files: { path: string; file: File }[];
  zip: boolean;
}

const REPEATS = /^\d+_./;
const COPY_NUMBER = /(\s*\(\d+\)|-\d+| copy)$/;

/** Whether something is dragged that could be uploaded; its content is not known yet. */
export function mayHold(event: DragEvent): boolean {
  return [...event.dataTransfer?.items ?? []].some((item) => item.kind === "file");
}

/**
 * The folder, files or archive that were dropped; null where there is nothing of the kind.
 * Call it at once: the browser takes the list away when the event is over.
 */
export function dropped(event: DragEvent): Promise<Found | null> {
  const items = [...event.dataTransfer?.items ?? []].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const plain = items.map((item) => item.getAsFile()).filter((file) => file !== null);
  return entries.length ? fromEntries(entries) : Promise.resolve(fromFiles(plain));
}

/** What a folder's dialog or a file's dialog brought. */
export function fromFiles(files: readonly File[]): Found | null {
  const [first] = files;
  if (!first) return null;
  if (files.length === 1 && isZip(first.name)) return archive(first);
  const rows = files.map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  return below(rows);
}

async function fromEntries(entries: readonly FileSystemEntry[]): Promise<Found | null> {
  const [first] = entries;
  if (entries.length === 1 && first?.isFile && isZip(first.name)) {
    return archive(await fileOf(first as FileSystemFileEntry));
  }
  const rows: { path: string; file: File }[] = [];
  for (const entry of entries) await collect(entry, entry.name, rows);
  return rows.length ? below(rows) : null;
}

async function collect(
  entry: FileSystemEntry, path: string, rows: { path: string; file: File }[],
): Promise<void> {
  if (entry.isFile) {
    rows.push({ path, file: await fileOf(entry as FileSystemFileEntry) });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // A reader gives a hundred at a time, and an empty list when it has given all.
  for (let some = await readSome(reader); some.length; some = await readSome(reader)) {
    for (const child of some) await collect(child, `${path}/${child.name}`, rows);
  }
}

function readSome(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** A folder around everything gives the name; but 10_cat also counts its pictures tenfold. */
function below(rows: { path: string; file: File }[]): Found {
  const tops = new Set(rows.map(({ path }) => path.split("/")[0] ?? ""));
  const [top] = tops;
  if (tops.size !== 1 || !top || rows.some(({ path }) => !path.includes("/"))) {
    return { name: "dataset", files: rows, zip: false };
  }
  const shift = REPEATS.test(top) ? 0 : top.length + 1;
  const files = rows.map(({ path, file }) => ({ path: path.slice(shift), file }));
  return { name: plainName(top), files, zip: false };
}

function archive(file: File): Found {
  const name = plainName(file.name.replace(/\.zip$/i, "").replace(COPY_NUMBER, ""));
  return { name, files: [{ path: "", file }], zip: true };
}

function isZip(name: string): boolean {
  return /\.zip$/i.test(name);
}

/** A name that the server takes: it is a folder's on any system. */
export function plainName(name: string): string {
  const plain = name.normalize("NFC").replace(/[^\p{L}\p{N}_ .-]+/gu, "_").replace(/\.{2,}/g, ".")
    .replace(/^[^\p{L}\p{N}_]+|[ .]+$/gu, "");
  return [...plain].slice(0, 48).join("").replace(/[ .]+$/, "") || "dataset";
}
