/** Mercator, in degrees of longitude both ways; and boxes. */

/** West, south, east, north in degrees; one that crosses the antimeridian has its east before its west. */
export type Box = readonly [number, number, number, number];

/** Mercator goes to infinity at the poles; Sentinel-2 sees no farther than that. */
const POLE = 84;

const radians = Math.PI / 180;

/** Mercator's y of a latitude, and back. */
export const ahead = (lat: number) =>
  Math.log(Math.tan(Math.PI / 4 + (Math.min(Math.max(lat, -POLE), POLE) * radians) / 2)) / radians;
export const back = (y: number) => (2 * Math.atan(Math.exp(y * radians)) - Math.PI / 2) / radians;

/** A longitude as it is written, from -180 to 180. */
export const written = (lon: number) => lon - 360 * Math.floor((lon + 180) / 360);

/** Four numbers as a box; nothing where the globe has none such. */
export function boxOf(edges: readonly (number | undefined)[]): Box | undefined {
  const [west, south, east, north] = edges;
  if (west === undefined || south === undefined || east === undefined || north === undefined) return undefined;
  const there = Math.max(Math.abs(west), Math.abs(east)) <= 180 && Math.max(Math.abs(south), Math.abs(north)) <= 90;
  return there ? [west, south, east, north] : undefined;
}

/** The east of a box, beyond 180 where it crosses the antimeridian. */
export const eastOf = ([west, , east]: Box) => (east < west ? east + 360 : east);
