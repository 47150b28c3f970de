/** Which point is under the cursor: the nearest to the eye of those within a few pixels. */
import * as THREE from "three";
import type { Node } from "./cloud";
import type { Scene } from "./scene";

/** Pixels around the cursor in which a point counts. */
const REACH = 8;

export interface Picked {
  /** Metres from the cloud's origin. */
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly kind: number;
}

/** @param x @param y CSS pixels within the canvas. */
export function pick(scene: Scene, canvas: HTMLCanvasElement, x: number, y: number): Picked | undefined {
  const pointer = new THREE.Vector2((2 * x) / canvas.clientWidth - 1, 1 - (2 * y) / canvas.clientHeight);
  const caster = new THREE.Raycaster();
  caster.setFromCamera(pointer, scene.camera);
  const { origin, direction } = caster.ray;
  // The tangent of the angle within which a point counts.
  const angle = (REACH * 2 * Math.tan((scene.camera.fov * Math.PI) / 360)) / canvas.clientHeight;
  let best: { node: Node; index: number; score: number } | undefined;
  for (const node of scene.visible) {
    const held = scene.held(node);
    if (held === undefined || !near(node, caster.ray, angle, scene.heights)) continue;
    const { positions } = held;
    for (let index = 0; index < node.count; index++) {
      const dx = positions[3 * index]! - origin.x;
      const dy = positions[3 * index + 1]! - origin.y;
      const dz = positions[3 * index + 2]! * scene.heights - origin.z;
      const along = dx * direction.x + dy * direction.y + dz * direction.z;
      if (along <= 0) continue;
      const aside = Math.sqrt(Math.max(dx * dx + dy * dy + dz * dz - along * along, 0)) / along;
      if (aside > angle) continue;
      // Within reach nearer points win, and among neighbours those nearer to the cursor.
      const score = along * (1 + 4 * aside);
      if (best === undefined || score < best.score) best = { node, index, score };
    }
  }
  if (best === undefined) return undefined;
  const { positions, colours } = scene.held(best.node)!;
  const [px, py, pz] = positions.subarray(3 * best.index, 3 * best.index + 3) as unknown as [number, number, number];
  return { x: px, y: py, z: pz, kind: colours[4 * best.index + 3]! };
}

function near(node: Node, ray: THREE.Ray, angle: number, heights: number): boolean {
  const box = new THREE.Box3(new THREE.Vector3(...node.low), new THREE.Vector3(...node.high));
  box.min.z *= heights;
  box.max.z *= heights;
  const reach = angle * box.distanceToPoint(ray.origin) + angle * box.getSize(new THREE.Vector3()).length();
  return ray.intersectsBox(box.expandByScalar(reach));
}
