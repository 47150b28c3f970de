/** Colours of elevations and of classes. */

/**
 * Viridis at nine places, from low to high: lightness grows evenly, also for eyes that see few colours and in grey
 * (Smith and van der Walt, matplotlib, CC0).
 */
export const RAMP = [
  "#440154",
  "#472d7b",
  "#3b528b",
  "#2c728e",
  "#21918c",
  "#28ae80",
  "#5ec962",
  "#addc30",
  "#fde725",
] as const;

export interface Kind {
  readonly name: string;
  readonly colour: string;
}

const OTHER: Kind = { name: "Other", colour: "#c9a0dc" };

/** By code of LAS 1.4 (R15, table 17); 21 is ASPRS' code of snow. */
const NAMED: Readonly<Record<number, Kind>> = {
  0: { name: "Never classified", colour: "#9aa0a6" },
  1: { name: "Unclassified", colour: "#8a8f96" },
  2: { name: "Bare ground", colour: "#c2955c" },
  3: { name: "Low vegetation", colour: "#9ccc65" },
  4: { name: "Vegetation", colour: "#66a84a" },
  5: { name: "High vegetation", colour: "#3f8f4a" },
  6: { name: "Building", colour: "#d9534f" },
  7: { name: "Noise", colour: "#e377c2" },
  9: { name: "Water", colour: "#3b82c4" },
  21: { name: "Snow and ice", colour: "#8adcf5" },
};

export const CLASSES: readonly Kind[] = Array.from({ length: 256 }, (_, code) => NAMED[code] ?? OTHER);

/** Colours as bytes of RGBA; fewer than `count` are a ramp. */
export function texels(colours: readonly string[], count: number): Uint8Array<ArrayBuffer> {
  const stops = colours.map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  const data = new Uint8Array(4 * count);
  for (let index = 0; index < count; index++) {
    const along = (index / (count - 1)) * (stops.length - 1);
    const [from, to] = [stops[Math.floor(along)]!, stops[Math.ceil(along)]!];
    const share = along % 1;
    for (let channel = 0; channel < 3; channel++) {
      data[4 * index + channel] = Math.round(from[channel]! * (1 - share) + to[channel]! * share);
    }
    data[4 * index + 3] = 255;
  }
  return data;
}
