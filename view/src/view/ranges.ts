/** Byte ranges of a remote file (RFC 9110, 14), with a fresh link where the old one has expired. */
import { Failure, isAbort } from "../common/failure";

/** Waits before a request whose connection broke is sent again, in milliseconds. */
const PAUSES = [300, 1200];

/** Gives an address of the file; `fresh` asks for a new one, since the last was refused. */
export type Link = (fresh: boolean) => Promise<string>;

export class RangeFile {
  /** Bytes of the file, known after the first answer. */
  total: number | undefined;
  /** Bytes that were received. */
  bytes = 0;
  requests = 0;
  private address: Promise<string> | undefined;
  private renewal: Promise<string> | undefined;
  private etag: string | undefined;

  constructor(private readonly link: Link) {}

  /** Forget the address, so that the next request asks for a new one: what a retry starts with. */
  renew(): void {
    this.address = undefined;
  }

  /**
   * Bytes [begin, end). Only a request from 0 may reach beyond the end of the file, as the first one has to.
   * Throws Failure, and AbortError where `signal` says that nobody waits any more.
   */
  async get(begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    if (this.total !== undefined && end > this.total) {
      if (begin > 0) throw truncated(end, this.total);
      end = this.total;
    }
    let response = await this.ask(begin, end, signal);
    if (response.status === 401 || response.status === 403) {
      this.address = this.renewed();
      response = await this.ask(begin, end, signal);
    }
    return this.checked(response, begin, end);
  }

  /** One new link for all requests that found the old one expired. */
  private renewed(): Promise<string> {
    this.renewal ??= this.link(true).finally(() => (this.renewal = undefined));
    return this.renewal;
  }

  private async ask(begin: number, end: number, signal?: AbortSignal): Promise<Reply> {
    for (let attempt = 0; ; attempt++) {
      try {
        this.address ??= this.link(false);
        const address = await this.address;
        this.requests++;
        const response = await fetch(address, {
          headers: { Range: `bytes=${begin}-${end - 1}` },
          signal: signal ?? null,
          cache: "default",
        });
        if (response.status !== 206) {
          // What comes with it is no part of the file, and may be all of it.
          await response.body?.cancel();
          return { status: response.status, headers: response.headers, data: new Uint8Array() };
        }
        const data = new Uint8Array(await response.arrayBuffer());
        this.bytes += data.byteLength;
        return { status: 206, headers: response.headers, data };
      } catch (error) {
        if (isAbort(error)) throw error;
        if (!(error instanceof TypeError)) {
          this.address = undefined;
          throw error;
        }
        const pause = PAUSES[attempt];
        if (pause === undefined) throw lost();
        await new Promise((resolve) => setTimeout(resolve, pause));
        if (signal?.aborted) throw new DOMException("nobody waits", "AbortError");
      }
    }
  }

  private checked({ status, headers, data }: Reply, begin: number, end: number): Uint8Array<ArrayBuffer> {
    if (status === 206) {
      const total = Number(/\/(\d+)$/.exec(headers.get("Content-Range") ?? "")?.[1] ?? NaN);
      if (Number.isFinite(total)) this.total = total;
      const etag = headers.get("ETag") ?? undefined;
      if (this.etag !== undefined && etag !== undefined && etag !== this.etag) throw changed();
      this.etag ??= etag;
      const whole = data.byteLength === end - begin;
      if (!whole && !(begin === 0 && data.byteLength === this.total)) throw truncated(end, this.total ?? data.byteLength);
      return data;
    }
    if (status === 401 || status === 403) throw expired();
    if (status === 404 || status === 410) throw gone();
    if (status === 416) throw truncated(end, this.total ?? begin);
    if (status === 200) {
      throw new Failure(
        "ranges",
        "The server sent the whole file where a piece of it was asked for.",
        "Serve the file with byte ranges, as `eo-shards serve` and S3 do.",
      );
    }
    throw new Failure("server", `The server answered with status ${status}.`, "Try again in a while.");
  }
}

interface Reply {
  status: number;
  headers: Headers;
  data: Uint8Array<ArrayBuffer>;
}

/** The failure of a file that ends before it should. */
export function truncated(end: number, total: number): Failure {
  const [wanted, there] = [end.toLocaleString("en"), total.toLocaleString("en")];
  return new Failure(
    "truncated",
    `The point cloud is cut short: it says that it has at least ${wanted} bytes, the server has ${there}.`,
    "Run the job again, or copy its file again, as a whole.",
  );
}

function lost(): Failure {
  return new Failure(
    "lost",
    "The connection to the server was lost.",
    "See that you are online, or that `eo-shards view` still runs, and try again. What is loaded stays.",
  );
}

function expired(): Failure {
  return new Failure(
    "expired",
    "The link to the file has expired, or is not for you.",
    "Try again for a new link; if that is refused too, sign in again.",
  );
}

function gone(): Failure {
  return new Failure("gone", "The file is not there any more.", "Run the job again: its results say what it has.");
}

function changed(): Failure {
  return new Failure(
    "changed",
    "The file has changed since this page began to read it.",
    "Load the page again: what is shown is of the file as it was.",
    "reload",
  );
}
