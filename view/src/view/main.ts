/** The page of a job's result. */
import { one } from "../common/dom";
import { asFailure, Failure } from "../common/failure";
import { Message } from "../common/message";
import { themed } from "../common/theme";
import { describe, facts } from "./about";
import { Cloud } from "./cloud";
import { list } from "./files";
import { pictures } from "./pictures";
import { place } from "./place";
import { Pool } from "./pool";
import { RangeFile } from "./ranges";
import { cloudLink, cloudOf, type Files, itemOf, Result } from "./result";
import { Scene } from "./scene";
import { Viewer } from "./viewer";

const NO_WEBGL = {
  message: "This browser offers no WebGL 2, with which points are drawn.",
  remedy:
    "Turn hardware acceleration on, or use another browser or device; the pictures and files are here all the same.",
  kind: "webgl",
};
const LOST_GRAPHICS = new Failure(
  "lost-graphics",
  "The graphics card was taken from this page.",
  "Wait a moment: the picture comes back by itself. If it does not, load the page again.",
  "reload",
);

/** Started before anything is known of the cloud: workers take as long to start as the file takes to open. */
const pool = new Pool();
const result = new Result();
const message = new Message(one("message"), one("stage"));

async function start(): Promise<void> {
  try {
    const files = await result.files();
    list(one("files"), files, result, failed);
    // The item is read beside the cloud: whichever is there first is shown first.
    void about(files);
    await look(files);
  } catch (error) {
    failed(asFailure(error), () => void start());
  }
}

/** Say what the item says. Without one there is all else. */
async function about(files: Files): Promise<void> {
  const item = await itemOf(files);
  if (item !== undefined) describe(item);
  else if (files["item"] !== undefined) {
    facts("about-item", [["Notes", ["The STAC item of this result cannot be read. Run the job again, or copy its files again."]]]);
  }
}

/** Show what there is to see. */
async function look(files: Files): Promise<void> {
  try {
    const file = cloudOf(files);
    if (file !== undefined && (await show(file.href))) return;
    pictures(one("pictures"), files, result);
    const alone = document.getElementById("alone");
    if (alone !== null) list(alone, files, result, failed);
  } catch (error) {
    failed(asFailure(error), () => void look(files));
  }
}

/** Show a point cloud. False where this browser cannot: then the page has said so. */
async function show(address: string): Promise<boolean> {
  let known: string | undefined = address;
  const file = new RangeFile(async (fresh) => {
    const link = known !== undefined && !fresh && !result.old ? known : cloudLink(await result.renewed());
    known = undefined;
    return link;
  });
  const opening = Cloud.open(file);
  opening.catch(() => undefined); // Until it is waited for.
  const canvas = one<HTMLCanvasElement>("canvas");
  canvas.hidden = false;
  // A context takes its time, which the first request is to be on its way in; and there is to be one alone.
  await new Promise((resolve) => setTimeout(resolve));
  const context = canvas.getContext("webgl2", { antialias: false, powerPreference: "high-performance" });
  if (context === null) {
    canvas.hidden = true;
    message.tell(NO_WEBGL);
    return false;
  }
  const cloud = await opening;
  for (const id of ["how", "hud", "keys-box"]) one(id).hidden = false;
  let viewer: Viewer | undefined;
  const scene = new Scene(canvas, context, cloud, pool, {
    drawn: () => viewer?.drawn(),
    failed: (failure) => failed(failure, () => scene.stream.retry()),
  });
  viewer = new Viewer(scene, cloud, canvas, place(cloud.copc.wkt));
  // three.js asks for the context back, and puts all on it again.
  canvas.addEventListener("webglcontextlost", () => message.tell(LOST_GRAPHICS));
  canvas.addEventListener("webglcontextrestored", () => {
    message.clear();
    scene.draw();
  });
  return true;
}

function failed(failure: Failure, again: () => void): void {
  message.tell(failure, again);
}

themed(one("theme"));
if (matchMedia("(max-width: 40rem)").matches) one<HTMLDetailsElement>("drawer").open = false;
void start();
