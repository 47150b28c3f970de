/** The map as a picture: coastline, graticule and a box, on a canvas. */
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import type { MultiPolygon, Polygon } from "geojson";
import coastline from "world-atlas/land-50m.json?url";
import { ahead, back, type Box, eastOf, written } from "./mercator";

/** CSS pixels by degree: the whole world on a phone, and a box of some hundred metres. */
const SCALES = [0.8, 40_000] as const;
/** Degrees between lines, and the CSS pixels that lie between them at most. */
const STEPS = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];
const WIDE = 140;

export interface Spot {
  x: number;
  y: number;
}

export class Chart {
  box: Box | undefined;
  /** CSS pixels by degree. */
  scale = 12;
  private x = 10;
  private y = ahead(48);
  private land: Path2D | undefined;
  private readonly pen: CanvasRenderingContext2D;
  private asked = 0;

  constructor(private readonly canvas: HTMLCanvasElement) {
    // Drawn by the processor: the coastline has 60,000 corners, which a graphics card (and more so software in its place)
    // takes apart anew with each frame. Ten times as fast with SwiftShader.
    this.pen = canvas.getContext("2d", { willReadFrequently: true })!;
    new ResizeObserver(() => this.draw()).observe(canvas);
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    void this.load();
  }

  /** Ask for a frame. */
  draw(): void {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this.frame();
    });
  }

  zoom(factor: number, at?: Spot): void {
    const middle = at ?? { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
    const [lon, y] = this.ground(middle);
    this.scale = Math.min(Math.max(this.scale * factor, SCALES[0]), SCALES[1]);
    const [moved, up] = this.ground(middle);
    this.shift(lon - moved, y - up);
  }

  /** Move by degrees. */
  shift(right: number, up: number): void {
    this.x = written(this.x + right);
    this.y = Math.min(Math.max(this.y + up, ahead(-90)), ahead(90));
    this.draw();
  }

  /** Look at a box that is out of sight. */
  look(box: Box): void {
    if (this.sees(box)) return;
    const [west, south, , north] = box;
    const east = eastOf(box);
    this.x = written((west + east) / 2);
    this.y = (ahead(south) + ahead(north)) / 2;
    const across = this.canvas.clientWidth / Math.max(east - west, 1e-6);
    const up = this.canvas.clientHeight / Math.max(ahead(north) - ahead(south), 1e-6);
    this.scale = Math.min(Math.max(Math.min(across, up) / 4, SCALES[0]), SCALES[1]);
  }

  /** (longitude, Mercator's y) of a place on the canvas; the longitude may be beyond 180. */
  ground({ x, y }: Spot): [number, number] {
    return [
      this.x + (x - this.canvas.clientWidth / 2) / this.scale,
      this.y - (y - this.canvas.clientHeight / 2) / this.scale,
    ];
  }

  private sees(box: Box): boolean {
    const [west, south, , north] = box;
    const [left, top] = this.ground({ x: 0, y: 0 });
    const [right, bottom] = this.ground({ x: this.canvas.clientWidth, y: this.canvas.clientHeight });
    const wide = (eastOf(box) - west) * this.scale > 12;
    return wide && west >= left && eastOf(box) <= right && ahead(south) >= bottom && ahead(north) <= top;
  }

  private async load(): Promise<void> {
    try {
      const world = (await (await fetch(coastline)).json()) as Topology<{ land: GeometryCollection }>;
      const found = feature(world, world.objects.land).features.map((each) => each.geometry as Polygon | MultiPolygon);
      this.land = new Path2D();
      for (const shape of found) {
        for (const rings of shape.type === "Polygon" ? [shape.coordinates] : shape.coordinates) {
          for (const ring of rings) {
            ring.forEach(([lon, lat], index) => this.land![index ? "lineTo" : "moveTo"](lon!, -ahead(lat!)));
            this.land.closePath();
          }
        }
      }
    } catch {
      // Without the coastline there are the degrees at the lines, and the box can be typed.
    }
    this.draw();
  }

  private frame(): void {
    const { pen, canvas } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (width === 0) return;
    const ratio = devicePixelRatio;
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    // As the theme resolves it: a custom property by itself is the text of the style sheet.
    const colour = (name: string) => {
      canvas.style.color = `var(${name})`;
      return getComputedStyle(canvas).color;
    };
    pen.scale(ratio, ratio);
    pen.fillStyle = colour("--ground");
    pen.fillRect(0, 0, width, height);
    for (const turn of this.turns(-180, 180)) {
      if (this.land === undefined) break;
      pen.save();
      pen.translate(width / 2, height / 2);
      pen.scale(this.scale, this.scale);
      pen.translate(turn - this.x, this.y);
      pen.fillStyle = colour("--surface");
      pen.strokeStyle = colour("--soft");
      pen.lineWidth = 0.8 / this.scale;
      pen.fill(this.land, "evenodd");
      pen.stroke(this.land);
      pen.restore();
    }
    this.lines(width, height, colour("--line"), colour("--soft"));
    if (this.box !== undefined) this.outline(this.box, colour("--accent"));
  }

  /** How many degrees farther on what lies between two longitudes is in view, once or more often. */
  private turns(west: number, east: number): number[] {
    const [left] = this.ground({ x: 0, y: 0 });
    const [right] = this.ground({ x: this.canvas.clientWidth, y: 0 });
    return [-360, 0, 360].filter((turn) => west + turn <= right && east + turn >= left);
  }

  private lines(width: number, height: number, line: string, text: string): void {
    const { pen } = this;
    const step = STEPS.find((each) => each * this.scale < WIDE) ?? 0.005;
    const places = Math.max(0, Math.ceil(-Math.log10(step)));
    const [left, top] = this.ground({ x: 0, y: 0 });
    const [right, bottom] = this.ground({ x: width, y: height });
    pen.strokeStyle = line;
    pen.fillStyle = text;
    pen.lineWidth = 1;
    pen.font = "11px system-ui, sans-serif";
    const named = (value: number, sides: string) => `${Math.abs(value).toFixed(places)}° ${value < 0 ? sides[1] : sides[0]}`;
    pen.beginPath();
    for (const lon of multiples(step, left, right)) {
      const x = width / 2 + (lon - this.x) * this.scale;
      pen.moveTo(x, 0);
      pen.lineTo(x, height);
      pen.fillText(named(written(lon), "EW"), x + 3, height - 4);
    }
    for (const lat of multiples(step, back(bottom), back(top))) {
      const y = height / 2 - (ahead(lat) - this.y) * this.scale;
      pen.moveTo(0, y);
      pen.lineTo(width, y);
      pen.fillText(named(lat, "NS"), 3, y - 3);
    }
    pen.stroke();
  }

  private outline(box: Box, colour: string): void {
    const { pen } = this;
    const [west, south, , north] = box;
    const y = this.canvas.clientHeight / 2 - (ahead(north) - this.y) * this.scale;
    const [wide, high] = [(eastOf(box) - west) * this.scale, (ahead(north) - ahead(south)) * this.scale];
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = 2;
    for (const turn of this.turns(west, eastOf(box))) {
      const x = this.canvas.clientWidth / 2 + (west + turn - this.x) * this.scale;
      pen.globalAlpha = 0.2;
      pen.fillRect(x, y, wide, high);
      pen.globalAlpha = 1;
      pen.strokeRect(x, y, wide, high);
    }
  }
}

/** Multiples of a step between two values: counted, since a sum of steps drifts, and may not move at all. */
function multiples(step: number, low: number, high: number): number[] {
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.max(Math.floor(high / step) - first + 1, 0) }, (_, index) => (first + index) * step);
}
