// Requests to the pack's own routes, and what they answer when something is wrong.

import { api } from "../../../scripts/api.js";

/** Without it the server takes a request for one of a foreign page: see host/routes_guard.py. */
const OWN_PAGE = { "X-Kiln": "1" };

export class ServerError extends Error {
  constructor(text: string, readonly status: number, readonly told: Record<string, unknown>) {
    super(text);
  }
}

/** Ask, and return the answer's JSON with its status. */
export async function ask<Answer>(
  method: string, route: string, body?: object | Blob, signal?: AbortSignal,
): Promise<{ status: number; answer: Answer }> {
  const data = body === undefined || body instanceof Blob ? body : JSON.stringify(body);
  const type = body === undefined || body instanceof Blob ? "application/octet-stream"
    : "application/json";
  const response = await fetch(api.apiURL(route), {
    method, body: data ?? null, signal: signal ?? null,
    headers: { ...OWN_PAGE, "Content-Type": type },
  });
  const answer = await response.json().catch(() => null) as Answer & Told | null;
  if (response.ok && answer) return { status: response.status, answer };
  const text = answer?.error?.text ?? `The server answered ${response.status}. Try again.`;
  throw new ServerError(text, response.status, { ...answer });
}

interface Told { error?: { text?: string } }

/** Post JSON and return the answer. */
export async function post<Answer>(route: string, body: object): Promise<Answer> {
  return (await ask<Answer>("POST", route, body)).answer;
}

/** Have the browser save what a route gives. */
export function download(route: string, values: Record<string, string>): void {
  const link = document.createElement("a");
  link.href = api.apiURL(`${route}?${new URLSearchParams(values)}`);
  link.download = "";
  document.body.append(link);
  link.click();
  link.remove();
}

/** What went wrong, for a person. */
export function reason(error: unknown): string {
  if (error instanceof ServerError) return error.message;
  if (error instanceof TypeError) return "ComfyUI cannot be reached. Is it running?";
  return error instanceof Error ? error.message : String(error);
}
