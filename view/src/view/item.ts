/** What a result's STAC item says of it. It may be of another release, or no item at all: what is not as expected is left out. */

export interface Item {
  readonly title: string | undefined;
  readonly description: string;
  /** Days of the scenes, in order. */
  readonly days: readonly string[];
  readonly lineage: string | undefined;
  readonly heights: string | undefined;
  readonly notes: readonly string[];
  readonly scenes: readonly { id: string; datetime: string | undefined }[];
}

/** A document as an item; nothing where it is none. */
export function item(document: unknown): Item | undefined {
  const feature = object(document);
  const properties = object(feature["properties"]);
  if (feature["type"] !== "Feature" || feature["properties"] !== properties) return undefined;
  const sources = list(properties["eo_shards:sources"]).map(object);
  const times = sources.map((source) => text(source["datetime"]));
  const own = ["datetime", "start_datetime", "end_datetime"].map((name) => text(properties[name]));
  return {
    title: text(properties["title"]),
    description: text(properties["description"]) ?? "",
    days: days(times.some((time) => time !== undefined) ? times : own),
    lineage: text(properties["processing:lineage"]),
    heights: text(properties["eo_shards:vertical_crs"]),
    notes: list(properties["eo_shards:notes"]).flatMap((note) => text(note) ?? []),
    scenes: sources
      .filter((source) => source["type"] === "scene")
      .map((source) => ({ id: text(source["id"]) ?? "unknown", datetime: text(source["datetime"]) })),
  };
}

/** Whose data it is, as their licences want it said: sentences of the description that the merge has put there. */
export function notices({ description }: Item): string[] {
  const said = description.split("; ");
  const found = said.filter((sentence) => /^(contains|produced)\b/.test(sentence));
  const at = said.indexOf(found.at(-1) ?? "");
  // A notice may itself hold a semicolon: what follows the last one belongs to it.
  return found.length > 0 ? [...found.slice(0, -1), said.slice(at).join("; ")] : [];
}

/** Days as people read them, in order. */
function days(times: readonly (string | undefined)[]): string[] {
  const found = times.flatMap((time) => /^\d{4}-\d\d-\d\d/.exec(time ?? "")?.[0] ?? []);
  return [...new Set(found)].sort().map((day) =>
    new Date(`${day}T12:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }),
  );
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
