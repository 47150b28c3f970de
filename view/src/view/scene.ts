/** The picture: camera, nodes on the graphics card, and a frame whenever something has changed. */
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { Budget } from "./budget";
import type { Cloud, Node, Vector } from "./cloud";
import type { Decoded } from "./decode.worker";
import { choose, type Eye, finest, type Finest } from "./detail";
import { COLOURINGS, type Colouring, material } from "./material";
import type { Pool } from "./pool";
import { Stream } from "./stream";
import type { Failure } from "../common/failure";

/** Points are a little larger than they are apart, or slopes show gaps. */
const OVERLAP = 2;
/** Ground as steep as this shows no gaps, however much its heights are exaggerated: metres up for a metre along. */
const SLOPE = 0.5;
/** Degrees of the field of view, up and down, and the share of it that the whole cloud fills. */
const FIELD = 50;
const FILLED = 0.92;
/** Radians above the horizon from which the whole cloud is looked at. */
const STEEP = 0.75;

export interface Told {
  /** After a frame. */
  drawn(): void;
  failed(failure: Failure): void;
}

export class Scene {
  readonly camera = new THREE.PerspectiveCamera(FIELD, 1, 1, 1e6);
  readonly controls: OrbitControls;
  readonly stream: Stream;
  visible: Node[] = [];
  /** Points in the last frame. */
  points = 0;
  /** Whether there would be more to draw, were this machine faster. */
  limited = false;
  private readonly renderer: THREE.WebGLRenderer;
  private readonly world = new THREE.Scene();
  private readonly group = new THREE.Group();
  private readonly material = material();
  private readonly drawn = new Map<Node, THREE.Points>();
  private finest: Finest = new Map();
  private sized = 1;
  private readonly budget: Budget;
  /** Whether the frame that is asked for shows a view that moves: in one that stands still there may be time for anything. */
  private moved = false;
  private asked = 0;
  private readonly frustum = new THREE.Frustum();

  constructor(
    private readonly canvas: HTMLCanvasElement,
    context: WebGL2RenderingContext,
    private readonly cloud: Cloud,
    pool: Pool,
    private readonly told: Told,
  ) {
    this.budget = new Budget(context);
    this.renderer = new THREE.WebGLRenderer({ canvas, context, alpha: true });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.sortObjects = false;
    this.world.add(this.group);
    this.camera.up.set(0, 0, 1);
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, {
      screenSpacePanning: false,
      zoomToCursor: true,
      enableDamping: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      dampingFactor: 0.12,
      maxPolarAngle: 1.54,
    });
    this.controls.addEventListener("change", () => {
      this.moved = true;
      this.draw();
    });
    this.stream = new Stream(cloud, pool, {
      changed: () => this.draw(),
      dropped: (node) => this.drop(node),
      failed: (failure) => told.failed(failure),
    });
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
    this.reset();
  }

  get heights(): number {
    return this.group.scale.z;
  }

  set heights(factor: number) {
    const lifted = this.controls.target.z * (factor / this.heights - 1);
    this.controls.target.z += lifted;
    this.camera.position.z += lifted;
    this.group.scale.z = factor;
    this.group.updateMatrixWorld();
    this.size = this.sized;
    this.draw();
  }

  set colouring(colouring: Colouring) {
    this.uniform("mode").value = COLOURINGS.indexOf(colouring);
    this.draw();
  }

  /** Elevations in metres that the ramp's ends stand for. */
  set range([low, high]: readonly [number, number]) {
    (this.uniform("range").value as THREE.Vector2).set(low, high);
    this.draw();
  }

  set size(factor: number) {
    this.sized = factor;
    // On a slope neighbours are farther apart.
    this.uniform("size").value = factor * OVERLAP * Math.hypot(1, SLOPE * this.heights);
    this.draw();
  }

  /** The whole cloud, from the south and above. */
  reset(): void {
    const { low, high } = this.cloud.extent;
    const corners = [0, 1, 2, 3, 4, 5, 6, 7].map(
      (corner) =>
        new THREE.Vector3(
          (corner & 1 ? high : low)[0],
          (corner & 2 ? high : low)[1],
          (corner & 4 ? high : low)[2] * this.heights,
        ),
    );
    const middle = corners[0]!.clone().add(corners[7]!).multiplyScalar(0.5);
    const back = new THREE.Vector3(0, -Math.cos(STEEP), Math.sin(STEEP));
    const up = new THREE.Vector3(0, Math.sin(STEEP), Math.cos(STEEP));
    const tangent = Math.tan((FIELD * Math.PI) / 360) * FILLED;
    // How far away each corner is just within the picture.
    const aways = corners.map((corner) => {
      const from = corner.sub(middle);
      return from.dot(back) + Math.max(Math.abs(from.x) / this.camera.aspect, Math.abs(from.dot(up))) / tangent;
    });
    const away = Math.max(...aways, 50);
    this.controls.target.copy(middle);
    this.camera.position.copy(middle).addScaledVector(back, away);
    this.controls.minDistance = 20;
    this.controls.maxDistance = 6 * away;
    this.controls.update();
    this.draw();
  }

  /** Turn around the target (radians), as the keyboard asks for. */
  turn(azimuth: number, polar: number): void {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const sphere = new THREE.Spherical().setFromCartesianCoords(offset.x, offset.z, -offset.y);
    sphere.theta += azimuth;
    sphere.phi = Math.min(Math.max(sphere.phi + polar, 0.001), this.controls.maxPolarAngle);
    const turned = new THREE.Vector3().setFromSpherical(sphere);
    this.camera.position.set(turned.x, -turned.z, turned.y).add(this.controls.target);
    this.controls.update();
    this.draw();
  }

  /** Look north, or straight down, without moving the target. */
  face(to: "north" | "down"): void {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const sphere = new THREE.Spherical().setFromCartesianCoords(offset.x, offset.z, -offset.y);
    this.turn(-sphere.theta, to === "down" ? -Math.PI : 0);
  }

  /** Shift the view by parts of the screen's height. */
  pan(right: number, up: number): void {
    const reach = this.metresPerPixel * this.canvas.clientHeight;
    const across = new THREE.Vector3().setFromMatrixColumn(this.camera.matrix, 0);
    const ahead = new THREE.Vector3(-across.y, across.x, 0);
    const shift = across.multiplyScalar(right * reach).add(ahead.multiplyScalar(up * reach));
    this.controls.target.add(shift);
    this.camera.position.add(shift);
    this.controls.update();
    this.draw();
  }

  /** Go nearer to the target by a factor below one, or away. */
  zoom(factor: number): void {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const away = Math.min(Math.max(offset.length() * factor, this.controls.minDistance), this.controls.maxDistance);
    this.camera.position.copy(offset.setLength(away).add(this.controls.target));
    this.controls.update();
    this.draw();
  }

  /** Metres on the ground that a CSS pixel covers at the target. */
  get metresPerPixel(): number {
    const away = this.camera.position.distanceTo(this.controls.target);
    return (2 * away * Math.tan((FIELD * Math.PI) / 360)) / Math.max(this.canvas.clientHeight, 1);
  }

  /** Where the camera looks, clockwise from grid north, in radians. */
  get azimuth(): number {
    const offset = this.camera.position.clone().sub(this.controls.target);
    return Math.atan2(-offset.x, -offset.y);
  }

  held(node: Node): Decoded | undefined {
    return this.stream.loaded.get(node);
  }

  /** Ask for a frame. */
  draw(): void {
    this.asked ||= requestAnimationFrame(() => this.frame());
  }

  private frame(): void {
    this.asked = 0;
    this.controls.update();
    const timed = this.moved ? this.budget.begin() : undefined;
    this.moved = false;
    this.camera.near = Math.max(1, 0.02 * this.camera.position.distanceTo(this.controls.target));
    this.camera.far = this.camera.near * 2e4;
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
    const choice = choose(
      this.cloud.root,
      this.eye(),
      this.budget.points,
      (depth) => this.cloud.spacing(depth),
      (node) => this.stream.has(node),
    );
    this.stream.want(choice.wanted);
    this.limited = choice.limited;
    this.finest = finest(choice);
    this.show(choice.visible);
    this.renderer.render(this.world, this.camera);
    timed?.(this.points);
    this.told.drawn();
  }

  private eye(): Eye {
    const matrix = new THREE.Matrix4().multiplyMatrices(this.camera.projectionMatrix, this.camera.matrixWorldInverse);
    this.frustum.setFromProjectionMatrix(matrix);
    const box = new THREE.Box3();
    const { x, y, z } = this.camera.position;
    const pixels = this.pixels;
    this.uniform("pixels").value = pixels;
    return {
      place: [x, y, z],
      pixels,
      heights: this.heights,
      sees: (low: Vector, high: Vector) => {
        box.min.set(...low);
        box.max.set(...high);
        return this.frustum.intersectsBox(box);
      },
    };
  }

  /** Pixels of the screen that a metre covers at a distance of one metre. */
  private get pixels(): number {
    return this.renderer.domElement.height / (2 * Math.tan((FIELD * Math.PI) / 360));
  }

  private show(visible: Node[]): void {
    const now = new Set(visible);
    for (const [node, points] of this.drawn) points.visible = now.has(node);
    for (const node of visible) if (!this.drawn.has(node)) this.add(node);
    this.visible = visible;
    this.points = visible.reduce((sum, node) => sum + node.count, 0);
    this.stream.trim(Math.max(1.5 * this.budget.points, this.points), now);
  }

  private add(node: Node): void {
    const { positions, colours } = this.stream.loaded.get(node)!;
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(positions, 3));
    geometry.setAttribute("colour", new THREE.BufferAttribute(colours, 4, true));
    const points = new THREE.Points(geometry, this.material);
    points.frustumCulled = false;
    points.onBeforeRender = () => this.prepare(node);
    this.drawn.set(node, points);
    this.group.add(points);
  }

  private prepare(node: Node): void {
    const apart = this.uniform("apart").value as Float32Array;
    this.finest.get(node)?.forEach((depth, eighth) => (apart[eighth] = this.cloud.spacing(depth)));
    (this.uniform("middle").value as THREE.Vector3).set(...node.middle);
    this.material.uniformsNeedUpdate = true;
  }

  private drop(node: Node): void {
    const points = this.drawn.get(node);
    if (points === undefined) return;
    this.drawn.delete(node);
    this.group.remove(points);
    points.geometry.dispose();
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0 || height === 0) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.draw();
  }

  private uniform(name: string): THREE.IUniform {
    return this.material.uniforms[name]!;
  }
}
