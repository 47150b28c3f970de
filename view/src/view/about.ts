/** What is known of a result, as rows; those of the cloud and those of its item are sections of their own. */
import { make, one } from "../common/dom";
import { type Item, notices } from "./item";

export type Fact = readonly [name: string, texts: readonly string[]];

export function facts(section: "about-cloud" | "about-item", rows: readonly Fact[]): void {
  one(section).replaceChildren(
    ...rows
      .filter(([, texts]) => texts.length > 0)
      .map(([name, texts]) => make("div", {}, make("dt", {}, name), ...texts.map((text) => make("dd", {}, text)))),
  );
}

/** Title, dates, notices and origin of a result. */
export function describe(item: Item): void {
  const title = item.title ?? "Result";
  one("title").textContent = title;
  document.title = `${title} · EO Shards`;
  const { days } = item;
  one("dates").textContent = days.length > 2 ? `${days[0]} – ${days.at(-1)}` : days.join(", ");
  one("notice").textContent = notices(item).join(" · ");
  const scenes = item.scenes.map(({ id, datetime }) => `${id}${datetime ? `, ${datetime.slice(0, 16).replace("T", " ")} UTC` : ""}`);
  facts("about-item", [
    [scenes.length === 1 ? "Scene" : "Scenes", scenes],
    ["Made of", item.lineage ? [item.lineage] : []],
    ["Heights", item.heights ? [`metres, ${item.heights}`] : []],
    ["Notes", item.notes],
  ]);
}
