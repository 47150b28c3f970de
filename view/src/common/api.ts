/** The service's documents (OGC API - Processes), asked for with the reader's token where one is needed. */
import { Failure } from "./failure";
import { Kept } from "./kept";

const TOKEN = new Kept("eo-shards-token", () => sessionStorage);
/** Problems of a job, among those of a 404 (OGC 18-062r2). */
const OF_A_JOB = /\/(no-such-job|result-not-ready)$/;

/**
 * Ask for JSON. Throws Failure with the service's own words.
 *
 * @param remedy what to do where the service finds fault with just this request
 */
export async function ask<T>(address: string, init: RequestInit = {}, remedy = "Load the page again."): Promise<T> {
  const token = TOKEN.get();
  const headers = new Headers(init.headers);
  headers.set("Accept", "application/json, application/problem+json");
  if (token !== null) headers.set("Authorization", `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(address, { ...init, headers });
  } catch {
    throw new Failure(
      "lost",
      "The service does not answer.",
      "See that you are online, or that `eo-shards serve` still runs, and try again.",
    );
  }
  const text = await response.text();
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw new Failure("server", `The service answered with status ${response.status}.`, "Try again in a while.");
  }
  if (response.ok) return document as T;
  throw problem(response.status, document, remedy);
}

/** Keep a token for this tab, until it is closed. */
export function keepToken(token: string): void {
  TOKEN.set(token.trim());
}

function problem(status: number, document: unknown, remedy: string): Failure {
  const said = (document ?? {}) as { type?: string; error?: string; detail?: string; title?: string; message?: string };
  const detail = said.detail ?? said.message ?? said.title ?? `The service answered with status ${status}.`;
  // A sentence begins with a capital letter; a name or an address stays as it is.
  const words = /^[a-z]+([ ,;'’]|: )/.test(detail) ? detail.charAt(0).toUpperCase() + detail.slice(1) : detail;
  if (status === 401 || status === 403) return new Failure("expired", words, "Sign in with a token.");
  if (status === 404 && OF_A_JOB.test(said.type ?? "")) return new Failure("gone", words, "See the list of your jobs.", "jobs");
  // A failure of the service's own has a name: the route is there, and what it looked for is not.
  if (status === 404 && said.error !== undefined) return new Failure("nothing", words, remedy);
  if (status === 404 && (said.type ?? "about:blank") === "about:blank") return new Failure("no-route", words, remedy);
  if (said.error === "AccessDenied") return new Failure("server", words, "Set that where the service runs, and start it again.");
  return new Failure("server", words, status >= 500 ? "Try again in a while." : remedy);
}

export interface ResultFile {
  href: string;
  type: string;
  title: string;
}

/** The name of a result file, whatever signature its address carries. */
export function fileName(file: ResultFile): string {
  return decodeURIComponent(new URL(file.href, location.href).pathname.split("/").pop() ?? "");
}
