/** A map on which a box is drawn: what pointers, wheel and keys do. */
import { Chart, type Spot } from "./chart";
import { back, type Box, written } from "./mercator";

/** Less than so many pixels is a click, not a box. */
const CLICK = 4;
/** CSS pixels that an arrow key moves. */
const STEP = 40;

/** What a drag does. At rest a mouse draws, and a finger scrolls the page, which it must be able to get past the map. */
export type Mode = "rest" | "draw" | "move";

export class BoxMap {
  private readonly chart: Chart;
  private mode: Mode = "rest";
  private box: Box | undefined;
  private readonly fingers = new Map<number, Spot>();
  private anchor: Spot | undefined;

  /** @param drawn is called with a box once it has been drawn */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly drawn: (box: Box) => void,
  ) {
    this.chart = new Chart(canvas);
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => {
      this.drop();
      this.fingers.delete(event.pointerId);
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault()); // The right button moves the map.
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** Show a box that was typed; look at it where it is out of sight. */
  show(box: Box | undefined): void {
    this.box = this.chart.box = box;
    if (box !== undefined) this.chart.look(box);
    this.chart.draw();
  }

  set does(mode: Mode) {
    this.mode = mode;
    this.drop();
    this.canvas.classList.toggle("moves", mode === "move");
    this.canvas.classList.toggle("takes", mode !== "rest");
  }

  zoom(factor: number): void {
    this.chart.zoom(factor);
  }

  private down(event: PointerEvent): void {
    if (event.pointerType === "touch" && this.mode === "rest") return;
    const at = { x: event.offsetX, y: event.offsetY };
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, at);
    // With a second finger it is the map that is meant.
    this.drop();
    if (this.fingers.size === 1 && this.mode !== "move" && event.button === 0) this.anchor = at;
  }

  private move(event: PointerEvent): void {
    const before = this.fingers.get(event.pointerId);
    if (before === undefined) return;
    const at = { x: event.offsetX, y: event.offsetY };
    this.fingers.set(event.pointerId, at);
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other !== undefined) {
      const apart = (from: Spot) => Math.max(Math.hypot(from.x - other.x, from.y - other.y), 1);
      this.chart.zoom(apart(at) / apart(before), other);
    } else if (this.anchor !== undefined) {
      this.chart.box = this.span(this.anchor, at) ?? this.box;
      this.chart.draw();
    } else {
      this.chart.shift((before.x - at.x) / this.chart.scale, (at.y - before.y) / this.chart.scale);
    }
  }

  private up(event: PointerEvent): void {
    const found = this.anchor && this.span(this.anchor, { x: event.offsetX, y: event.offsetY });
    this.drop();
    this.fingers.delete(event.pointerId);
    if (found === undefined) return;
    this.show(found);
    this.drawn(found);
  }

  /** Forget the box that is being drawn. */
  private drop(): void {
    this.anchor = undefined;
    this.chart.box = this.box;
    this.chart.draw();
  }

  private span(from: Spot, to: Spot): Box | undefined {
    if (Math.min(Math.abs(from.x - to.x), Math.abs(from.y - to.y)) < CLICK) return undefined;
    const [one, other] = [this.chart.ground(from), this.chart.ground(to)];
    // As many places as the map shows: a box that ends in twelve digits says more than a hand can draw.
    const places = Math.min(Math.max(Math.ceil(Math.log10(this.chart.scale)), 1), 5);
    const round = (value: number) => Number(value.toFixed(places));
    const [west, east] = [Math.min(one[0], other[0]), Math.max(one[0], other[0])];
    const lons = east - west >= 360 ? [-180, 180] : [round(written(west)), round(written(east))];
    const lats = [one[1], other[1]].map(back).sort((a, b) => a - b);
    return [lons[0]!, round(lats[0]!), lons[1]!, round(lats[1]!)];
  }

  /** Zoom, where the map has the focus or Ctrl is held (as a pinch on a touchpad says); otherwise the page scrolls. */
  private wheel(event: WheelEvent): void {
    if (!event.ctrlKey && document.activeElement !== this.canvas) return;
    event.preventDefault();
    this.chart.zoom(Math.exp(-event.deltaY / 400), { x: event.offsetX, y: event.offsetY });
  }

  private key(event: KeyboardEvent): void {
    const step = STEP / this.chart.scale;
    const does: Record<string, () => void> = {
      ArrowLeft: () => this.chart.shift(-step, 0),
      ArrowRight: () => this.chart.shift(step, 0),
      ArrowUp: () => this.chart.shift(0, step),
      ArrowDown: () => this.chart.shift(0, -step),
      "+": () => this.zoom(1.5),
      "=": () => this.zoom(1.5),
      "-": () => this.zoom(1 / 1.5),
      Escape: () => this.drop(),
    };
    const found = does[event.key];
    if (found === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    found();
  }
}
