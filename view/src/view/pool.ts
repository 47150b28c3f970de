/** Workers that decode, each one chunk at a time. */
import { Failure } from "../common/failure";
import type { Cloud, Node } from "./cloud";
import type { Answer, Chunk, Decoded } from "./decode.worker";

/** More than that do not help: the connection is then slower than they are. */
const MOST = 4;

interface Waits {
  resolve(decoded: Decoded): void;
  reject(failure: Failure): void;
}

export class Pool {
  private readonly helpers: Helper[];

  constructor() {
    const count = Math.max(1, Math.min(MOST, (navigator.hardwareConcurrency || 2) - 1));
    this.helpers = Array.from({ length: count }, () => new Helper());
  }

  /** Throws Failure. */
  decode(cloud: Cloud, node: Node, data: Uint8Array<ArrayBuffer>): Promise<Decoded> {
    const helper = this.helpers.reduce((least, each) => (each.busy < least.busy ? each : least));
    return helper.decode({ data, count: node.count, records: cloud.records });
  }
}

/** A worker, and another one in its place once it has stopped. */
class Helper {
  private worker: Worker | undefined = this.start();
  private readonly waiting = new Map<number, Waits>();
  private next = 0;

  get busy(): number {
    return this.waiting.size;
  }

  decode(chunk: Omit<Chunk, "id">): Promise<Decoded> {
    const worker = (this.worker ??= this.start());
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      worker.postMessage({ id, ...chunk } satisfies Chunk, [chunk.data.buffer]);
    });
  }

  private start(): Worker {
    const worker = new Worker(new URL("./decode.worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      const waits = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ("decoded" in data) waits?.resolve(data.decoded);
      else waits?.reject(data.amiss === "corrupt" ? corrupt() : stopped());
    };
    worker.onerror = () => {
      worker.terminate();
      this.worker = undefined;
      for (const waits of this.waiting.values()) waits.reject(stopped());
      this.waiting.clear();
    };
    return worker;
  }
}

function corrupt(): Failure {
  return new Failure(
    "corrupt",
    "A part of the point cloud cannot be read.",
    "Run the job again, or copy its file again. What is loaded stays.",
  );
}

function stopped(): Failure {
  return new Failure("worker", "What unpacks points in this page has stopped.", "Try again; if it stays, load the page again.");
}
