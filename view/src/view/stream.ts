/** Loads what is wanted, a few requests at a time, and lets go of what is no longer looked at. */
import { type Failure, asFailure, isAbort } from "../common/failure";
import type { Cloud, Node } from "./cloud";
import type { Decoded } from "./decode.worker";
import type { Pool } from "./pool";

/** Requests at a time: what browsers send to one server over HTTP/1.1. */
const REQUESTS = 6;

export class Stream {
  readonly loaded = new Map<Node, Decoded>();
  /** Points that are held, drawn or not. */
  points = 0;
  private readonly loading = new Map<Node, AbortController>();
  /** Codes of the classes of all points that were loaded. */
  readonly kinds = new Set<number>();
  /** Whether nothing more is loaded, after a failure. */
  failed = false;

  constructor(
    private readonly cloud: Cloud,
    private readonly pool: Pool,
    private readonly told: { changed(): void; dropped(node: Node): void; failed(failure: Failure): void },
  ) {}

  get pending(): number {
    return this.loading.size;
  }

  has(node: Node): boolean {
    return this.loaded.has(node) || (node.count === 0 && node.page === undefined);
  }

  /** Load the first of these nodes; those that are loading but not among them are given up. */
  want(nodes: readonly Node[]): void {
    if (this.failed) return;
    const wanted = new Set(nodes);
    for (const [node, controller] of this.loading) if (!wanted.has(node)) controller.abort();
    for (const node of nodes) {
      if (this.loading.size >= REQUESTS) return;
      if (!this.loading.has(node)) void this.load(node);
    }
  }

  /** Go on after a failure. */
  retry(): void {
    this.failed = false;
    this.cloud.file.renew();
    this.told.changed();
  }

  /** Let go of nodes until no more points are held than `most`, those first that were not drawn for longest. */
  trim(most: number, drawn: ReadonlySet<Node>): void {
    for (const node of drawn) {
      const held = this.loaded.get(node);
      if (held === undefined) continue;
      this.loaded.delete(node);
      this.loaded.set(node, held);
    }
    for (const node of this.loaded.keys()) {
      if (this.points <= most) return;
      if (drawn.has(node)) continue;
      this.loaded.delete(node);
      this.points -= node.count;
      this.told.dropped(node);
    }
  }

  private async load(node: Node): Promise<void> {
    const controller = new AbortController();
    this.loading.set(node, controller);
    try {
      if (node.page !== undefined) {
        const found = await this.cloud.unfold(node);
        Object.assign(node, { ...found, page: undefined });
      } else {
        const data = await this.cloud.file.get(node.offset, node.offset + node.length, controller.signal);
        const decoded = await this.pool.decode(this.cloud, node, data);
        this.loaded.set(node, decoded);
        this.points += node.count;
        for (const kind of decoded.kinds) this.kinds.add(kind);
      }
    } catch (error) {
      if (!isAbort(error) && !this.failed) {
        this.failed = true;
        this.told.failed(asFailure(error));
      }
    } finally {
      this.loading.delete(node);
      this.told.changed();
    }
  }
}
