/** What an order would do and cost, before it is made. */
import { make, one } from "../common/dom";

/** As the service predicts it (`cli.planned`). */
export interface Planned {
  crs: string;
  resolution: number;
  width: number;
  height: number;
  scenes: { id: string; datetime: string; cloud_cover: number | null }[];
  covered: number;
  points: number | null;
  pixels: number;
  result_bytes: number;
  source_requests: number;
  source_bytes: number;
  cpu_seconds: number;
  cost_usd: number;
  energy_kwh: number;
  co2e_g: number;
  notes: string[];
}

const SHOWN = 6;
const count = (value: number, places = 0) => value.toLocaleString("en", { maximumFractionDigits: places });

/** Two figures: these are estimates, and may be far below one. */
const short = (value: number) => value.toLocaleString("en", { maximumSignificantDigits: 2 });

export function show(plan: Planned): void {
  const scenes = plan.scenes
    .slice(0, SHOWN)
    .map(({ datetime, cloud_cover }) => `${datetime.slice(0, 10)}${cloud_cover === null ? "" : ` (${count(cloud_cover)} % cloud)`}`);
  const left = plan.scenes.length - scenes.length;
  const rows: [string, string][] = [
    ["Grid", `${count(plan.width)} × ${count(plan.height)} pixels of ${plan.resolution} m, ${plan.crs}`],
    ["Scenes", `${scenes.join(", ")}${left > 0 ? ` and ${left} more` : ""}; they cover ${count(100 * plan.covered, 1)} %`],
    plan.points === null ? ["Pixels", count(plan.pixels)] : ["Points", `up to ${count(plan.points)}`],
    ["Result", `up to ${count(plan.result_bytes / 1e6, 1)} MB`],
    ["From the source", `${count(plan.source_requests)} requests, ${count(plan.source_bytes / 1e6, 1)} MB`],
    ["Work", `${count(plan.cpu_seconds, 1)} CPU seconds`],
    ["Cost on AWS", `about ${plan.cost_usd.toFixed(4)} USD, ${short(1000 * plan.energy_kwh)} Wh, ${short(plan.co2e_g)} g CO2e`],
  ];
  fill(rows, plan.notes);
}

/** For a service that predicts nothing: a deployed one plans within the job. */
export function unknown(): void {
  fill([], [
    "This service makes its plan within the job, so there is no prediction of what it costs. The job refuses by itself what is too large.",
  ]);
}

function fill(rows: [string, string][], notes: string[]): void {
  one("plan-rows").replaceChildren(...rows.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]));
  one("plan-notes").replaceChildren(...notes.map((note) => make("li", {}, note)));
  one("planned").hidden = false;
  one("planned-title").focus({ preventScroll: true });
  one("planned").scrollIntoView({ block: "nearest" });
}
