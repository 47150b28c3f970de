/** Coordinates for people: in the job's CRS, and in longitude and latitude. */
import proj4 from "proj4";

export interface Place {
  /** Such as `EPSG:32632`; the CRS's own name where the file gives no code. */
  readonly crs: string;
  /** Longitude and latitude in degrees (WGS 84); nothing where the CRS is not understood. */
  lonlat(x: number, y: number): readonly [number, number] | undefined;
  /** Whether they are some hundred metres off: the file does not say how its datum lies to that of WGS 84. */
  readonly rough: boolean;
}

/** Semi-major axis in metres and inverse flattening of WGS 84; those of GRS 80 differ by less than is told apart. */
const [AXIS, FLATTENING] = [6_378_137, 298.257223563];

/** From the WKT of a LAS file, which may be a compound of a projected and a vertical CRS. */
export function place(wkt: string | undefined): Place {
  const projected = wkt === undefined ? undefined : piece(wkt, "PROJCS") ?? piece(wkt, "PROJCRS");
  if (projected === undefined) return { crs: "unknown CRS", lonlat: () => undefined, rough: false };
  // The authority of the whole is the last one in it; those before are of its parts.
  const code = [...projected.matchAll(/(?:AUTHORITY|ID)\["EPSG",\s*"?(\d+)"?\]/g)].at(-1)?.[1];
  const name = /"([^"]*)"/.exec(projected)?.[1] ?? "unknown CRS";
  return { crs: code === undefined ? name : `EPSG:${code}`, lonlat: converter(projected), rough: rough(projected) };
}

function converter(wkt: string): Place["lonlat"] {
  try {
    const { inverse } = proj4(wkt);
    return (x, y) => {
      const [lon, lat] = inverse([x, y]) as [number, number];
      return Number.isFinite(lon) && Number.isFinite(lat) ? [lon, lat] : undefined;
    };
  } catch {
    return () => undefined;
  }
}

/** Datums on the spheroids of WGS 84 and GRS 80 lie within a metre or two of it; others need to be shifted. */
function rough(projected: string): boolean {
  const [axis, flattening] = /(?:SPHEROID|ELLIPSOID)\["[^"]*",\s*([\d.]+),\s*([\d.]+)/.exec(projected)?.slice(1).map(Number) ?? [];
  const modern = Math.abs((axis ?? 0) - AXIS) < 1 && Math.abs((flattening ?? 0) - FLATTENING) < 1e-3;
  return !modern && !projected.includes("TOWGS84[");
}

/** A keyword of WKT with all that its brackets hold. */
function piece(wkt: string, keyword: string): string | undefined {
  const start = wkt.indexOf(`${keyword}[`);
  if (start < 0) return undefined;
  let depth = 0;
  let quoted = false;
  for (let at = start; at < wkt.length; at++) {
    const char = wkt[at];
    if (char === '"') quoted = !quoted;
    else if (!quoted && char === "[") depth++;
    else if (!quoted && char === "]" && --depth === 0) return wkt.slice(start, at + 1);
  }
  return undefined;
}

/** Degrees with their hemispheres; five places are a metre, three are a hundred. */
export function degrees([lon, lat]: readonly [number, number], rough: boolean): string {
  const places = rough ? 3 : 5;
  const found = `${Math.abs(lat).toFixed(places)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(places)}° ${lon < 0 ? "W" : "E"}`;
  return rough ? `about ${found}` : found;
}

/** A whole or decimal number with thin gaps between thousands. */
export function number(value: number, places = 0): string {
  return value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places }).replaceAll(",", "\u202f");
}
