/** What went wrong, in words for the reader: what happened, and what to do. */
export class Failure extends Error {
  /**
   * @param remedy what the reader can do about it
   * @param kind name for tests and styles, such as `expired`
   * @param leads what is offered for it: to do the same again, to load the page again, or the list of jobs
   */
  constructor(
    readonly kind:
      | "expired"
      | "gone"
      | "nothing"
      | "no-route"
      | "lost"
      | "lost-graphics"
      | "truncated"
      | "changed"
      | "ranges"
      | "corrupt"
      | "worker"
      | "server"
      | "unknown",
    message: string,
    readonly remedy: string,
    readonly leads: "again" | "reload" | "jobs" = "again",
  ) {
    super(message);
    this.name = "Failure";
  }
}

/** Any error as a failure; what nobody has foreseen keeps its own words. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new Failure("unknown", `This page met a fault: ${text}`, "Try again; if it stays, please report it.");
}

/** Whether an error only says that nobody waits for the answer any more. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
