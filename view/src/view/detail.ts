/** Which nodes of the octree are worth drawing: those whose points would lie too far apart on the screen without them. */
import type { Node, Vector } from "./cloud";

/** What is looked from. Places are metres from the cloud's origin, heights already exaggerated. */
export interface Eye {
  readonly place: Vector;
  /** Pixels that a metre covers at a distance of one metre. */
  readonly pixels: number;
  /** Vertical exaggeration. */
  readonly heights: number;
  /** Whether a box can be seen. */
  sees(low: Vector, high: Vector): boolean;
}

export interface Choice {
  /** Nodes to draw, coarse ones first. */
  visible: Node[];
  /** Nodes to load, the most urgent first. */
  wanted: Node[];
  /** Nodes that are in view and fine enough to matter, whether they could be drawn or not. */
  considered: Set<Node>;
  /** Those of them that are there, empty ones among them, each after its parent. */
  there: Node[];
  /** Whether the budget has left nodes out. */
  limited: boolean;
}

/** Distance of points on the screen, in pixels, below which a node needs no children. */
export const CLOSE_ENOUGH = 1.4;

/**
 * Choose within a budget of points. A node is chosen only after its parent has been loaded, so that a coarse picture of
 * everything comes before a fine one of anything.
 *
 * @param spacing mean distance of points when a level is drawn, in metres
 * @param loaded whether a node has its points, or has none to load
 */
export function choose(
  root: Node,
  eye: Eye,
  budget: number,
  spacing: (depth: number) => number,
  loaded: (node: Node) => boolean,
): Choice {
  const choice: Choice = { visible: [], wanted: [], considered: new Set(), there: [], limited: false };
  const queue = new Queue();
  if (seen(root, eye)) queue.push(root, Infinity);
  /** Pixels between neighbours of a node's points. */
  const apart = (node: Node) => (spacing(node.depth) * eye.pixels) / distance(node, eye);
  let points = 0;
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    if (points + node.count > budget && choice.visible.length > 0) {
      choice.limited = true;
      break;
    }
    points += node.count;
    if (!loaded(node)) {
      choice.wanted.push(node);
      continue;
    }
    choice.there.push(node);
    if (node.count > 0) choice.visible.push(node);
    if (apart(node) < CLOSE_ENOUGH) continue;
    for (const child of node.children) {
      if (!seen(child, eye)) continue;
      choice.considered.add(child);
      queue.push(child, apart(child));
    }
  }
  return choice;
}

/** By node, for each of its eighths, the level of detail that is drawn in all that is seen of it. */
export type Finest = Map<Node, number[]>;

/** How fine it is drawn where: points of a coarse node are to be no larger than their neighbours of a fine one. */
export function finest({ there, considered }: Choice): Finest {
  const found: Finest = new Map();
  for (const node of [...there].reverse()) {
    const levels = Array<number>(8).fill(node.depth);
    for (const child of node.children) {
      const below = found.get(child);
      if (below === undefined) continue;
      // What is out of view, or too fine to matter, says nothing of how fine the rest is.
      const parts = child.children.filter((each) => considered.has(each)).map((each) => below[eighth(each)]!);
      levels[eighth(child)] = parts.length > 0 ? Math.min(...parts) : child.depth;
    }
    found.set(node, levels);
  }
  return found;
}

/** Which of its parent's eighths a node is. */
function eighth({ place: [x, y, z] }: Node): number {
  return (x & 1) + 2 * (y & 1) + 4 * (z & 1);
}

function seen(node: Node, eye: Eye): boolean {
  return eye.sees(raised(node.low, eye), raised(node.high, eye));
}

function raised([x, y, z]: Vector, eye: Eye): Vector {
  return [x, y, z * eye.heights];
}

/** From the eye to the nearest place of a node's box, in metres; never zero. */
function distance(node: Node, eye: Eye): number {
  const [low, high] = [raised(node.low, eye), raised(node.high, eye)];
  const apart = eye.place.map((place, axis) => Math.max(low[axis]! - place, 0, place - high[axis]!));
  return Math.max(Math.hypot(...apart), 1e-3);
}

/** Nodes by urgency: a binary heap. */
class Queue {
  private readonly heap: { node: Node; urgency: number }[] = [];

  push(node: Node, urgency: number): void {
    const heap = this.heap;
    let at = heap.push({ node, urgency }) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (heap[above]!.urgency >= heap[at]!.urgency) return;
      [heap[above], heap[at]] = [heap[at]!, heap[above]!];
      at = above;
    }
  }

  pop(): Node | undefined {
    const heap = this.heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first?.node;
    heap[0] = last;
    for (let at = 0; ; ) {
      const below = [2 * at + 1, 2 * at + 2].filter((each) => each < heap.length);
      const best = below.sort((one, other) => heap[other]!.urgency - heap[one]!.urgency)[0];
      if (best === undefined || heap[best]!.urgency <= heap[at]!.urgency) return first.node;
      [heap[best], heap[at]] = [heap[at]!, heap[best]!];
      at = best;
    }
  }
}
