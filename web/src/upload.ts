// Brings a folder or an archive to the server: all of it, or nothing. See host/routes_upload.py.

import type { Found } from "./dropped";
import { ServerError, ask, reason } from "./server";

const AT_ONCE = 3;
const MOST_IN_PARCEL = 200;
const ATTEMPTS = 4;
const PAUSE_MS = 700;

export interface Progress {
  /** What is done just now, for a person. */
  text: string;
  /** From 0 to 1; null where it is not known. */
  part: number | null;
}

export interface Uploaded {
  folder: string;
  name: string;
  wanted: string;
  files: number;
  pictures: number;
  left_out: [string, string][];
}

interface Begun {
  id: string;
  parcel_bytes: number;
  archive: string;
  file_bytes: number;
  endings: string[];
}

interface Slice { path: string; offset: number; size: number; data: Blob }

/**
 * Upload, and say how far it is.
 *
 * A part whose answer got lost is sent again: connections to rented machines break.
 */
export async function upload(
  found: Found, tell: (progress: Progress) => void, signal: AbortSignal,
): Promise<Uploaded> {
  const bytes = found.files.reduce((sum, { file }) => sum + file.size, 0);
  const { answer: begun } = await ask<Begun>(
    "POST", "/kiln/upload", { name: found.name, zip: found.zip, bytes }, signal,
  );
  const route = `/kiln/upload/${begun.id}`;
  try {
    const leftOut: [string, string][] = [];
    const files = found.zip
      ? found.files.map(({ file }) => ({ path: begun.archive, file }))
      : found.files.filter(({ path, file }) => {
        const why = whyLeftOut(path, file, begun);
        if (why) leftOut.push([path, why]);
        return !why;
      });
    if (!files.length) throw new Error("There is no picture in what was dropped.");
    await sendAll(route, files, begun, tell, signal);
    const done = await commit(route, files.length, tell, signal);
    return { ...done, left_out: [...leftOut, ...done.left_out] };
  } catch (error) {
    // Nobody waits for the answer: what is not forgotten now is swept away later.
    void ask("DELETE", route).catch(() => {});
    throw error;
  }
}

async function sendAll(
  route: string, files: { path: string; file: File }[], begun: Begun,
  tell: (progress: Progress) => void, signal: AbortSignal,
): Promise<void> {
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  let sent = 0;
  const say = () => tell({
    text: `Uploading ${megabytes(sent)} of ${megabytes(total)} MB`,
    part: total ? sent / total : null,
  });
  say();
  const waiting = parcels(files, begun.parcel_bytes);
  const worker = async (): Promise<void> => {
    // One after another from the same list: parts of one file stay in order.
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

/** Lists of parcels; those of one list are of one large file, and go in order. */
function* parcels(
  files: { path: string; file: File }[], most: number,
): Generator<Slice[][], undefined> {
  let small: Slice[] = [];
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
  return undefined;
}

function cut(path: string, file: File, most: number): Slice[][] {
  const slices: Slice[][] = [];
  for (let offset = 0; offset < file.size; offset += most) {
    slices.push([{ path, offset, size: file.size, data: file.slice(offset, offset + most) }]);
  }
  return slices;
}

async function send(route: string, parcel: Slice[], signal: AbortSignal): Promise<void> {
  const rows = parcel.map(({ path, offset, size, data }) => ({
    path, offset, size, length: data.size,
  }));
  const listing = new Blob([JSON.stringify(rows)]);
  const body = new Blob([listing, ...parcel.map(({ data }) => data)]);
  await ask("POST", `${route}/parcel?listing=${listing.size}`, body, signal);
}

async function commit(
  route: string, files: number, tell: (progress: Progress) => void, signal: AbortSignal,
): Promise<Uploaded> {
  for (;;) {
    tell({ text: "Almost there …", part: 1 });
    const { status, answer } = await persist(
      () => ask<Uploaded & { unpacked: number; of: number }>(
        "POST", `${route}/commit`, { files }, signal,
      ), signal,
    );
    if (status === 200) return answer;
    tell({ text: `Unpacking ${answer.unpacked} of ${answer.of}`, part: null });
  }
}

/** Try several times; what the server refuses it would refuse again. */
async function persist<Value>(work: () => Promise<Value>, signal: AbortSignal): Promise<Value> {
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

function whyLeftOut(path: string, file: File, begun: Begun): string {
  const parts = path.split("/");
  if (parts.some((part) => part.startsWith(".") || /^(thumbs\.db|desktop\.ini|__macosx)$/i.test(part))) {
    return "hidden, or the operating system's own";
  }
  if (path.includes("\\")) return "a backslash is in its name";
  const ending = /\.[^./]*$/.exec(path)?.[0].toLowerCase() ?? "";
  if (!begun.endings.includes(ending)) return "not a picture, mask, caption or metadata file";
  return file.size > begun.file_bytes
    ? `larger than ${Math.floor(begun.file_bytes / 2 ** 20)} MiB` : "";
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
}
