/** What a job delivered: its files by their addresses, which are good for a while. */
import { ask, fileName, type ResultFile } from "../common/api";
import { Failure } from "../common/failure";
import { item, type Item } from "./item";

/** Milliseconds after which links are asked for anew: presigned ones are good for 15 minutes. */
const OLD = 10 * 60_000;
const COPC = ".copc.laz";

/** Files by output, as the service names them. */
export type Files = Readonly<Record<string, ResultFile>>;

export class Result {
  private held: Files | undefined;
  /** When they were asked for; by the clock, which goes on while a computer sleeps. */
  private since = 0;
  private asking: Promise<Files> | undefined;

  /** Whether links may soon be refused. */
  get old(): boolean {
    return Date.now() - this.since > OLD;
  }

  /** The files; asked for where they are not known yet, or their links are old. Throws Failure. */
  async files(): Promise<Files> {
    return this.held === undefined || this.old ? this.renewed() : this.held;
  }

  /** The files by new links, asked for once for all that wait for them. Throws Failure. */
  async renewed(): Promise<Files> {
    this.asking ??= ask<Files>("results")
      .then((files) => {
        this.since = Date.now();
        return (this.held = files);
      })
      .finally(() => (this.asking = undefined));
    return this.asking;
  }
}

export function cloudOf(files: Files): ResultFile | undefined {
  return Object.values(files).find((file) => fileName(file).endsWith(COPC));
}

/** The address of the job's point cloud. Throws Failure. */
export function cloudLink(files: Files): string {
  const found = cloudOf(files);
  if (found === undefined) throw new Failure("gone", "The job has no point cloud any more.", "Run the job again.");
  return found.href;
}

/** The pictures, by output. */
export function picturesOf(files: Files): [string, ResultFile][] {
  return Object.entries(files).filter(([, file]) => file.type === "image/png");
}

/** The STAC item of the result; nothing where it has none that can be read. */
export async function itemOf({ item: file }: Files): Promise<Item | undefined> {
  if (file === undefined) return undefined;
  try {
    // A plain request, without the reader's token: the address says all that the store needs to know.
    const response = await fetch(file.href);
    return response.ok ? item(await response.json()) : undefined;
  } catch {
    return undefined;
  }
}
