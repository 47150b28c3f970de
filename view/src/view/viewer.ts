/** What is around the picture: controls, legend, compass, scale bar, keys, progress. */
import { make, one } from "../common/dom";
import { facts } from "./about";
import type { Cloud } from "./cloud";
import { CLASSES, RAMP } from "./colours";
import type { Colouring } from "./material";
import { number, type Place } from "./place";
import { Readout } from "./readout";
import type { Scene } from "./scene";

/** Radians that an arrow key turns, and parts of the screen that it moves. */
const TURN = Math.PI / 24;
const STEP = 0.1;
/** CSS pixels of the scale bar, at most. */
const BAR = 120;
const STATES = {
  loading: "Loading points",
  ready: "What is in view is loaded",
  failed: "Loading has stopped",
};

export class Viewer {
  private first = true;
  private state = "";
  /** Kinds in the legend. */
  private kinds = 0;
  private readonly readout: Readout;
  private readonly explained: Record<Colouring, Node[]> = { true: [], elevation: [], class: [] };

  constructor(
    private readonly scene: Scene,
    private readonly cloud: Cloud,
    canvas: HTMLCanvasElement,
    place: Place,
  ) {
    this.readout = new Readout(scene, cloud, canvas, place);
    this.inputs();
    // Also before anything has the focus: the picture is what the page is for.
    document.addEventListener("keydown", (event) => {
      if (event.target === canvas || event.target === document.body) this.key(event);
    });
    canvas.addEventListener("blur", () => (one("cross").hidden = true));
    const [low, high] = [cloud.extent.low[2], cloud.extent.high[2]];
    facts("about-cloud", [
      ["Points", [number(cloud.points)]],
      ["CRS", [place.crs]],
      ["Elevation", [`${number(low)} to ${number(high)} m`]],
    ]);
    scene.draw();
  }

  /** After each frame. */
  drawn(): void {
    if (this.first && this.scene.points > 0) this.begin();
    const { stream } = this.scene;
    const busy = stream.pending > 0;
    one("loading").hidden = !busy;
    const megabytes = number(this.cloud.file.bytes / 1e6, 1);
    const most = this.scene.limited ? " (as many as this device moves smoothly; go nearer for more)" : "";
    one("progress").textContent = `${number(this.scene.points)} of ${number(this.cloud.points)} points, ${megabytes} MB${most}`;
    this.become(stream.failed ? "failed" : busy || this.first ? "loading" : "ready");
    document.documentElement.dataset["points"] = String(this.scene.points);
    if (stream.kinds.size !== this.kinds) this.classes(stream.kinds);
    this.compass();
    this.scale();
    this.readout.look();
  }

  /** For whoever cannot see the bar; told when it changes, not with each frame. */
  private become(state: keyof typeof STATES): void {
    if (state === this.state) return;
    this.state = document.documentElement.dataset["state"] = state;
    one("state").textContent = STATES[state];
  }

  private begin(): void {
    this.first = false;
    performance.mark("first-points");
    const held = this.scene.held(this.scene.visible[0]!);
    if (held === undefined) return;
    const heights = held.positions.filter((_, index) => index % 3 === 2).sort();
    const at = (share: number) => heights[Math.round(share * (heights.length - 1))]!;
    // A few stray points would take the colours from all others.
    const range = [at(0.005), at(0.995)] as const;
    this.scene.range = range;
    this.ramp(range);
  }

  private inputs(): void {
    for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=colouring]")) {
      radio.addEventListener("change", () => {
        this.scene.colouring = radio.value as Colouring;
        this.explain();
      });
    }
    this.slider("heights", (factor) => (this.scene.heights = factor));
    this.slider("size", (factor) => (this.scene.size = factor));
    for (const id of ["north", "compass"]) one(id).addEventListener("click", () => this.scene.face("north"));
    one("down").addEventListener("click", () => this.scene.face("down"));
    one("reset").addEventListener("click", () => this.scene.reset());
  }

  private slider(id: string, set: (factor: number) => void): void {
    const input = one<HTMLInputElement>(id);
    const change = () => {
      one(`${id}-shown`).textContent = `× ${input.value}`;
      set(Number(input.value));
    };
    input.addEventListener("input", change);
    change();
  }

  private ramp([low, high]: readonly [number, number]): void {
    const ramp = make("div", { className: "ramp" });
    ramp.style.background = `linear-gradient(to right, ${RAMP.join(",")})`;
    const ends = make("div", { className: "ends" }, make("span", {}, `≤ ${number(low)} m`), make("span", {}, `≥ ${number(high)} m`));
    this.explained.elevation = [ramp, ends];
    this.explain();
  }

  /** Classes of all that was loaded: rare ones come with fine nodes alone. */
  private classes(kinds: ReadonlySet<number>): void {
    this.kinds = kinds.size;
    const names = new Map([...kinds].sort((a, b) => a - b).map((kind) => [CLASSES[kind]!.name, CLASSES[kind]!.colour]));
    const list = make(
      "ul",
      {},
      ...[...names].map(([name, colour]) => {
        const patch = make("i");
        patch.style.background = colour;
        return make("li", {}, patch, name);
      }),
    );
    this.explained.class = [list];
    this.explain();
  }

  private explain(): void {
    const colouring = document.querySelector<HTMLInputElement>("input[name=colouring]:checked")?.value ?? "true";
    one("legend").replaceChildren(...this.explained[colouring as Colouring]);
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { scene } = this;
    const arrows: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, 1],
      ArrowDown: [0, -1],
    };
    const arrow = arrows[event.key];
    const others: Record<string, () => void> = {
      "+": () => scene.zoom(0.8),
      "=": () => scene.zoom(0.8),
      "-": () => scene.zoom(1.25),
      n: () => scene.face("north"),
      t: () => scene.face("down"),
      r: () => scene.reset(),
    };
    const done = others[event.key.toLowerCase()];
    if (arrow !== undefined && event.shiftKey) scene.pan(STEP * arrow[0], STEP * arrow[1]);
    else if (arrow !== undefined) scene.turn(TURN * arrow[0], -TURN * arrow[1]);
    else if (done !== undefined) done();
    else return;
    event.preventDefault();
    this.readout.atCross();
  }

  private compass(): void {
    const turned = (-this.scene.azimuth * 180) / Math.PI;
    one("compass").querySelector("svg")!.style.transform = `rotate(${turned.toFixed(1)}deg)`;
  }

  private scale(): void {
    const most = BAR * this.scene.metresPerPixel;
    const power = 10 ** Math.floor(Math.log10(most));
    const metres = [5, 2, 1].map((step) => step * power).find((length) => length <= most) ?? power;
    one("scale-bar").style.width = `${metres / this.scene.metresPerPixel}px`;
    one("scale-text").textContent = metres >= 1000 ? `${number(metres / 1000)} km` : `${number(metres, metres < 1 ? 1 : 0)} m`;
  }
}
