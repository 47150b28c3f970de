/** The coordinates of what is under the cursor, or under the cross where the keyboard is used. */
import { make, one } from "../common/dom";
import type { Cloud } from "./cloud";
import { CLASSES } from "./colours";
import { pick } from "./pick";
import { degrees, number, type Place } from "./place";
import type { Scene } from "./scene";

/** Milliseconds between looks: each goes through the points near the cursor. */
const PAUSE = 60;
/** Milliseconds after a key until coordinates are told: whoever holds one down wants those of the end. */
const TOLD = 400;
const NOTHING = "Point at the cloud for coordinates";

export class Readout {
  private pointer: { x: number; y: number } | undefined;
  private looked = 0;
  private timer = 0;
  private telling = 0;

  constructor(
    private readonly scene: Scene,
    private readonly cloud: Cloud,
    private readonly canvas: HTMLCanvasElement,
    private readonly place: Place,
  ) {
    const move = (event: PointerEvent) => {
      one("cross").hidden = true;
      this.at(event.offsetX, event.offsetY);
    };
    canvas.addEventListener("pointermove", (event) => event.buttons === 0 && move(event));
    canvas.addEventListener("pointerdown", move);
    canvas.addEventListener("pointerleave", () => {
      this.pointer = undefined;
      this.look();
    });
  }

  /** Read at the cross in the middle, and tell what is there. */
  atCross(): void {
    one("cross").hidden = false;
    this.at(this.canvas.clientWidth / 2, this.canvas.clientHeight / 2);
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      this.read();
      one("state").textContent = one("readout").innerText;
    }, TOLD);
  }

  /** Look again, soon: what is seen has changed, or the cursor has moved. The last of many calls is not lost. */
  look(): void {
    this.timer ||= setTimeout(() => this.read(), Math.max(0, this.looked + PAUSE - performance.now()));
  }

  private at(x: number, y: number): void {
    this.pointer = { x, y };
    this.look();
  }

  private read(): void {
    clearTimeout(this.timer);
    this.timer = 0;
    this.looked = performance.now();
    one("readout").replaceChildren(...this.lines().map((line) => make("span", {}, line)));
  }

  private lines(): string[] {
    const found = this.pointer && pick(this.scene, this.canvas, this.pointer.x, this.pointer.y);
    if (found === undefined) return [NOTHING];
    const [x, y] = [found.x + this.cloud.origin[0], found.y + this.cloud.origin[1]];
    const lonlat = this.place.lonlat(x, y);
    return [
      `${number(x, 1)}, ${number(y, 1)} (${this.place.crs})`,
      lonlat === undefined ? "no longitude and latitude: the CRS is not known" : degrees(lonlat, this.place.rough),
      `${number(found.z, 1)} m, ${CLASSES[found.kind]!.name.toLowerCase()}`,
    ];
  }
}
