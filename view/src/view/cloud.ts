/** A Cloud-Optimised Point Cloud (COPC 1.0, https://copc.io): its header and its octree, read as far as it is looked at. */
import { Copc, Hierarchy } from "copc";
import { Failure, isAbort } from "../common/failure";
import { type RangeFile, truncated } from "./ranges";

export type Vector = readonly [number, number, number];

/** A node of the octree: one LAZ chunk, which holds what its ancestors do not. */
export interface Node {
  readonly depth: number;
  readonly place: Vector;
  /** Edges of its box, in metres from the cloud's origin, no farther than the cloud reaches: its cube is as high as it is wide. */
  readonly low: Vector;
  readonly high: Vector;
  /** Where its eight children meet. */
  readonly middle: Vector;
  readonly count: number;
  readonly offset: number;
  readonly length: number;
  /** Those that are known; a node behind an unread page has none yet. */
  children: Node[];
  /** The page of the hierarchy that describes it, until it has been read. */
  page: Hierarchy.Page | undefined;
}

/** What decoding a node needs. */
export interface Records {
  readonly format: number;
  readonly length: number;
  readonly scale: Vector;
  /** What is added to the scaled integers, in metres from the cloud's origin. */
  readonly offset: Vector;
}

/** Formats whose points have the layout that `decode.worker.ts` reads, with colours. */
const FORMATS = [7, 8];

export class Cloud {
  readonly root: Node;

  private constructor(
    readonly file: RangeFile,
    readonly copc: Copc,
    /** Coordinates of the CRS that are zero here: 32-bit floats keep centimetres only near their zero. */
    readonly origin: Vector,
    tree: Hierarchy.Subtree,
  ) {
    this.root = this.node([0, 0, 0, 0], tree) ?? fail("it has no root node");
    this.grow(this.root, tree);
  }

  /** Read the header and the first page of the hierarchy. Throws Failure. */
  static async open(file: RangeFile): Promise<Cloud> {
    return understood(async () => {
      const get = await ahead(file);
      const copc = await Copc.create(get);
      if (!FORMATS.includes(copc.header.pointDataRecordFormat)) {
        fail(`points have format ${copc.header.pointDataRecordFormat}, of which this page reads 7 and 8`);
      }
      const { min, max } = copc.header;
      const origin: Vector = [Math.round((min[0] + max[0]) / 2), Math.round((min[1] + max[1]) / 2), 0];
      return new Cloud(file, copc, origin, await page(get, copc.info.rootHierarchyPage));
    });
  }

  get points(): number {
    return this.copc.header.pointCount;
  }

  /** Lowest and highest corner, in metres from the origin. */
  get extent(): { low: Vector; high: Vector } {
    const { min, max } = this.copc.header;
    return { low: this.local(min), high: this.local(max) };
  }

  get records(): Records {
    const { pointDataRecordFormat, pointDataRecordLength, scale, offset } = this.copc.header;
    return {
      format: pointDataRecordFormat,
      length: pointDataRecordLength,
      scale: [...scale] as unknown as Vector,
      offset: this.local(offset),
    };
  }

  /** Mean distance of points where levels up to this one are drawn, in metres. */
  spacing(depth: number): number {
    return this.copc.info.spacing / 2 ** depth;
  }

  /** Read the page that describes a node and what is below it. Throws Failure. */
  async unfold(node: Node): Promise<Node> {
    const wanted = node.page;
    if (wanted === undefined) return node;
    return understood(async () => {
      const tree = await page((begin, end) => this.file.get(begin, end), wanted);
      const found = this.node([node.depth, ...node.place], tree) ?? fail("a page of its hierarchy lacks its own root");
      this.grow(found, tree);
      return found;
    });
  }

  private grow(node: Node, tree: Hierarchy.Subtree): void {
    const [x, y, z] = node.place;
    for (let child = 0; child < 8; child++) {
      const place = [2 * x + (child & 1), 2 * y + ((child >> 1) & 1), 2 * z + (child >> 2)] as const;
      const found = this.node([node.depth + 1, ...place], tree);
      if (found === undefined) continue;
      node.children.push(found);
      if (found.page === undefined) this.grow(found, tree);
    }
  }

  private node([depth, x, y, z]: readonly [number, number, number, number], tree: Hierarchy.Subtree): Node | undefined {
    const key = `${depth}-${x}-${y}-${z}`;
    const found = tree.nodes[key];
    const page = found ? undefined : tree.pages[key];
    if (found === undefined && page === undefined) return undefined;
    const { min, max } = this.copc.header;
    const cube = this.copc.info.cube;
    const edge = (cube[3] - cube[0]) / 2 ** depth;
    const corner = [x, y, z].map((place, axis) => cube[axis]! + place * edge);
    return {
      depth,
      place: [x, y, z],
      low: this.local(corner.map((least, axis) => Math.max(least, min[axis]!))),
      high: this.local(corner.map((least, axis) => Math.min(least + edge, max[axis]!))),
      middle: this.local(corner.map((least) => least + edge / 2)),
      count: found?.pointCount ?? 0,
      offset: found?.pointDataOffset ?? 0,
      length: found?.pointDataLength ?? 0,
      children: [],
      page,
    };
  }

  private local(point: readonly number[]): Vector {
    return this.origin.map((zero, axis) => (point[axis] ?? 0) - zero) as unknown as Vector;
  }
}

type Get = (begin: number, end: number) => Promise<Uint8Array<ArrayBuffer>>;

/** Bytes of the beginning that are read at once, as `Copc.create` asks for them. */
const HEAD = 65_536;
/** Bytes of the header and of the info VLR: no COPC has fewer. */
const LEAST = 375 + 54 + 160;
/** Where the info VLR says where the hierarchy's first page is: it comes first after the header (COPC 1.0). */
const PAGE = 375 + 54 + 40;
/** Bytes of the header of an extended VLR. */
const EVLR = 60;

/** Reads a file with its beginning and its first page at hand, each by one request: each takes a way there and back. */
async function ahead(file: RangeFile): Promise<Get> {
  const head = await file.get(0, HEAD);
  const held: { begin: number; data: Uint8Array<ArrayBuffer> }[] = [{ begin: 0, data: head }];
  if (head.byteLength < LEAST) throw truncated(LEAST, head.byteLength);
  const view = new DataView(head.buffer);
  const [first, size] = [Number(view.getBigUint64(PAGE, true)), Number(view.getBigUint64(PAGE + 8, true))];
  const begin = first - EVLR;
  // Only where this is a COPC: what it is else, the reader of the format says.
  const named = String.fromCharCode(...head.slice(375 + 2, 375 + 6)) === "copc";
  if (named && begin >= head.byteLength && size < LARGE) held.push({ begin, data: await file.get(begin, first + size) });
  return async (begin, end) => {
    const known = held.find((each) => begin >= each.begin && Math.min(end, file.total ?? end) <= each.begin + each.data.byteLength);
    return known ? known.data.slice(begin - known.begin, end - known.begin) : file.get(begin, end);
  };
}

/** A first page beyond so many bytes is none that was meant: 100,000 nodes have 3 MB. */
const LARGE = 16e6;

async function page(get: Get, { pageOffset, pageLength }: Hierarchy.Page): Promise<Hierarchy.Subtree> {
  return Hierarchy.parse(await get(pageOffset, pageOffset + pageLength));
}

function fail(what: string): never {
  throw new Failure("corrupt", `This is no COPC file that can be read: ${what}.`, "Run the job again.");
}

/** What the reader of the format throws, in words. */
async function understood<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Failure || isAbort(error)) throw error;
    fail(error instanceof Error ? error.message : String(error));
  }
}
