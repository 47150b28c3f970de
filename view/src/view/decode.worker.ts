/** Decompresses LAZ chunks off the main thread, into what a vertex buffer holds. */
import createLazPerf, { type LazPerf } from "laz-perf/lib/web/laz-perf.js";
import wasm from "laz-perf/lib/web/laz-perf.wasm?url";
import type { Records } from "./cloud";

export interface Chunk {
  id: number;
  data: Uint8Array<ArrayBuffer>;
  count: number;
  records: Records;
}

export interface Decoded {
  /** x, y, z of each point, metres from the cloud's origin. */
  positions: Float32Array<ArrayBuffer>;
  /** Red, green, blue and class of each point. */
  colours: Uint8Array<ArrayBuffer>;
  /** Codes of its classes. */
  kinds: number[];
}

/** Points, or why there are none: the chunk is not what it should be, or what reads chunks is not there. */
export type Answer = { id: number; decoded: Decoded } | { id: number; amiss: "corrupt" | "stopped" };

/** Where a record of formats 6 to 8 has its class and its red (LAS 1.4 R15, tables 12 and 14). */
const CLASS = 16;
const RED = 30;

const loaded = () => createLazPerf({ locateFile: () => wasm });
let library: Promise<LazPerf> = loaded();

self.onmessage = async ({ data: { id, ...chunk } }: MessageEvent<Chunk>) => {
  let amiss: "corrupt" | "stopped" = "stopped";
  try {
    const laz = await library;
    amiss = "corrupt";
    const decoded = decode(laz, chunk);
    self.postMessage({ id, decoded } satisfies Answer, { transfer: [decoded.positions.buffer, decoded.colours.buffer] });
  } catch {
    // What it left behind in its memory nobody knows, and one that could not be loaded may be there by now.
    library = loaded();
    library.catch(() => undefined); // Until it is waited for.
    self.postMessage({ id, amiss } satisfies Answer);
  }
};

function decode(laz: LazPerf, { data, count, records }: Omit<Chunk, "id">): Decoded {
  const positions = new Float32Array(3 * count);
  const colours = new Uint8Array(4 * count);
  const kinds = new Set<number>();
  const [scale, offset] = [records.scale, records.offset];
  const source = laz._malloc(data.byteLength);
  const record = laz._malloc(records.length);
  const decoder = new laz.ChunkDecoder();
  laz.HEAPU8.set(data, source);
  decoder.open(records.format, records.length, source);
  let view = new DataView(laz.HEAPU8.buffer);
  for (let point = 0; point < count; point++) {
    decoder.getPoint(record);
    // The heap moves when it grows.
    if (view.buffer !== laz.HEAPU8.buffer) view = new DataView(laz.HEAPU8.buffer);
    for (let axis = 0; axis < 3; axis++) {
      positions[3 * point + axis] = view.getInt32(record + 4 * axis, true) * scale[axis]! + offset[axis]!;
      // Colours are 16 bits; their upper byte is what a screen shows.
      colours[4 * point + axis] = view.getUint8(record + RED + 2 * axis + 1);
    }
    const kind = view.getUint8(record + CLASS);
    colours[4 * point + 3] = kind;
    kinds.add(kind);
  }
  decoder.delete();
  laz._free(source);
  laz._free(record);
  return { positions, colours, kinds: [...kinds] };
}
