/** The form of a process, from the description that the service gives of its inputs. */
import { make, one } from "../common/dom";
import type { Said } from "../common/message";
import { unmark } from "./faults";
import { BoxMap } from "./map";
import { type Box, boxOf } from "./mercator";
import { numeric } from "./numeric";

export interface Process {
  id: string;
  title: string;
  description: string;
  inputs: Record<string, { title: string; description: string; schema: Schema }>;
}

interface Schema {
  type?: string;
  enum?: (string | number)[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
}

/** What most orders say; the others are one click away. */
const FIRST = ["datetime", "max_cloud_cover", "sampled_fraction", "source", "catalog", "dem", "dem_path"];
/** Inputs that are asked for with one choice of another alone. */
const ONLY_WITH: Readonly<Record<string, readonly [name: string, choice: string]>> = {
  catalog: ["source", "local"],
  dem_path: ["dem", "local"],
};
const EDGES = ["west", "south", "east", "north"] as const;

/** What is sent, whatever is changed on the page meanwhile. */
export interface Order {
  readonly process: string;
  readonly inputs: Record<string, unknown>;
}

/** What cannot be sent, and where it stands. */
export interface Fault extends Said {
  readonly field: HTMLElement;
}

export class Form {
  /** Raised with each change: a plan of an earlier edition is not what would be ordered. */
  edition = 0;
  private process: Process | undefined;
  private readonly map: BoxMap;
  /** The edges before a box was drawn. */
  private before: string[] = [];

  /** @param edited is called when anything is changed, so that a plan of before is no longer shown */
  constructor(private readonly edited: () => void) {
    this.map = new BoxMap(one<HTMLCanvasElement>("map"), (box) => this.drawn(box));
    one("form").addEventListener("input", (event) => {
      const field = event.target as HTMLElement;
      unmark(field);
      if (edges().includes(field as HTMLInputElement)) {
        one("undo").hidden = true;
        this.map.show(this.box);
      }
      this.change();
    });
    one("undo").addEventListener("click", () => this.undo());
    one("nearer").addEventListener("click", () => this.map.zoom(2));
    one("farther").addEventListener("click", () => this.map.zoom(0.5));
    for (const mode of ["draw", "move"] as const) one(mode).addEventListener("click", () => this.press(mode));
  }

  /** The process whose inputs are shown. */
  get chosen(): string | undefined {
    return this.process?.id;
  }

  show(process: Process): void {
    this.process = process;
    one("described").textContent = process.description;
    const names = Object.keys(process.inputs).filter((name) => name !== "bbox");
    one("inputs").replaceChildren(...FIRST.filter((name) => names.includes(name)).map((name) => this.field(name)));
    one("others").replaceChildren(...names.filter((name) => !FIRST.includes(name)).map((name) => this.field(name)));
    this.change();
  }

  /** What is to be sent: the box, and what was changed from its default. There is to be no `fault`. */
  get order(): Order {
    const inputs: Record<string, unknown> = { bbox: edges().map((edge) => numeric(edge.value)) };
    for (const [name, { schema }] of this.others) {
      if (!this.applies(name)) continue;
      const input = one<HTMLInputElement>(`input-${name}`);
      const value =
        schema.type === "boolean" ? input.checked
        : isNumber(schema) ? numeric(input.value)
        : input.value.trim();
      if (value !== undefined && value !== "" && value !== schema.default) inputs[name] = value;
    }
    return { process: this.process!.id, inputs };
  }

  /** The first thing that is missing or no number; nothing where the service can judge. */
  get fault(): Fault | undefined {
    const empty = edges().find((edge) => edge.value.trim() === "");
    if (empty !== undefined) {
      const remedy = "Draw it on the map, or type its four edges.";
      return { field: empty, kind: "box", message: "The box is not complete.", remedy };
    }
    const numbers = this.others.filter(([, { schema }]) => isNumber(schema)).map(([name]) => one<HTMLInputElement>(`input-${name}`));
    const typed = [...edges(), ...numbers.filter((input) => input.value.trim() !== "")];
    const field = typed.find((input) => numeric(input.value) === undefined);
    if (field === undefined) return undefined;
    const remedy = "Type digits alone, with a point or a comma before the decimals.";
    return { field, kind: "number", message: `“${field.value.trim()}” is no number.`, remedy };
  }

  /** The field that a refusal is about: its words begin with the input's name. */
  blamed(words: string): HTMLElement | undefined {
    const name = /^\w+/.exec(words)?.[0].toLowerCase() ?? "";
    if (!Object.hasOwn(this.process?.inputs ?? {}, name)) return undefined;
    return name === "bbox" ? one("west") : one(`input-${name}`);
  }

  /** What the service says, with its inputs called as they are here. */
  worded(words: string): string {
    const known = this.process?.inputs ?? {};
    return words.replace(/[a-z]+(_[a-z]+)+/g, (name) => (Object.hasOwn(known, name) ? worded(name) : name));
  }

  private get others(): [string, Process["inputs"][string]][] {
    return Object.entries(this.process?.inputs ?? {}).filter(([name]) => name !== "bbox");
  }

  /** Whether an input is asked for with what the others say. */
  private applies(name: string): boolean {
    const [other, choice] = ONLY_WITH[name] ?? [];
    const field = other === undefined ? null : document.getElementById(`input-${other}`);
    return field === null || (field as HTMLSelectElement).value === choice;
  }

  private get box(): Box | undefined {
    return boxOf(edges().map((edge) => numeric(edge.value)));
  }

  private change(): void {
    for (const name of Object.keys(ONLY_WITH)) {
      const label = document.getElementById(`input-${name}`)?.closest("label");
      if (label) label.hidden = !this.applies(name);
    }
    this.edition++;
    this.edited();
  }

  private drawn(box: Box): void {
    this.before = edges().map((edge) => edge.value);
    this.fill(box.map(String));
    one("undo").hidden = false;
  }

  private undo(): void {
    this.fill(this.before);
    this.map.show(this.box);
    one("undo").hidden = true;
    one("map").focus({ preventScroll: true });
  }

  private fill(values: string[]): void {
    edges().forEach((edge, index) => {
      edge.value = values[index]!;
      unmark(edge);
    });
    this.change();
  }

  /** Of two toggles at most one is pressed. */
  private press(mode: "draw" | "move"): void {
    const pressed = one(mode).getAttribute("aria-pressed") !== "true";
    for (const each of ["draw", "move"]) one(each).setAttribute("aria-pressed", String(pressed && each === mode));
    this.map.does = pressed ? mode : "rest";
  }

  private field(name: string): HTMLElement {
    const { description, schema } = this.process!.inputs[name]!;
    const id = `input-${name}`;
    const help = make("small", { id: `${id}-help` }, description);
    const title = make("span", {}, worded(name));
    const input = control(schema);
    input.id = id;
    input.setAttribute("aria-describedby", help.id);
    const label = make("label", { className: "field" }, ...(schema.type === "boolean" ? [input, title] : [title, input]), help);
    if (schema.type === "boolean") label.classList.add("check");
    return label;
  }
}

const edges = () => EDGES.map((edge) => one<HTMLInputElement>(edge));
const isNumber = ({ type }: Schema) => type === "number" || type === "integer";

function control(schema: Schema): HTMLInputElement | HTMLSelectElement {
  if (schema.enum !== undefined) {
    const choices = schema.enum.map((choice) => make("option", { value: String(choice), selected: choice === schema.default }, String(choice)));
    return make("select", {}, ...(schema.default === undefined ? [make("option", { value: "", selected: true }, "")] : []), ...choices);
  }
  if (schema.type === "boolean") return make("input", { type: "checkbox", checked: schema.default === true });
  const number = isNumber(schema);
  const shown = schema.default === undefined ? "" : String(schema.default);
  return make("input", { type: "text", inputMode: number ? "decimal" : "text", placeholder: shown, autocomplete: "off" });
}

/** The name of an input as a label. */
function worded(name: string): string {
  const words = name.replaceAll("_", " ").replace(/^(dem|crs|aot)\b/, (short) => short.toUpperCase());
  return words.charAt(0).toUpperCase() + words.slice(1);
}
