/** Pictures of results that have no point cloud, and before and after with a slider. */
import { fileName, type ResultFile } from "../common/api";
import { make } from "../common/dom";
import { picturesOf, type Files, type Result } from "./result";

/** A picture whose left half is before and whose right half is after, as the correction draws it. */
const BOTH = "before_after.png";

export function pictures(box: HTMLElement, files: Files, result: Result): void {
  const found = picturesOf(files).map(([output, file]) => {
    const whole = image(file, async () => (await result.renewed())[output]?.href);
    return fileName(file) === BOTH ? swipe(whole) : picture(file, whole);
  });
  const none = make(
    "div",
    { className: "card" },
    make("h2", {}, "This result has files alone"),
    make("p", {}, "There is nothing of it to look at here. Download its files:"),
    make("ul", { id: "alone", className: "files" }),
  );
  box.replaceChildren(...(found.length > 0 ? found : [none]));
  box.hidden = false;
}

/** A picture. Where its link is refused it asks once for a new one. */
function image(file: ResultFile, fresh: () => Promise<string | undefined>): HTMLImageElement {
  const shown = make("img", { src: file.href });
  const failed = () => {
    const words = `${fileName(file)} could not be loaded. Load the page again, or take it from the list of files.`;
    shown.replaceWith(make("p", { className: "fault" }, words));
  };
  const renew = () => {
    shown.addEventListener("error", failed, { once: true });
    fresh().then((href) => (href === undefined ? failed() : (shown.src = href)), failed);
  };
  shown.addEventListener("error", renew, { once: true });
  return shown;
}

function picture(file: ResultFile, shown: HTMLImageElement): HTMLElement {
  shown.alt = `${file.title}: ${fileName(file)}`;
  return make("figure", { className: "card" }, make("figcaption", {}, file.title), shown);
}

/** One half above the other, as far as the slider goes. */
function swipe(whole: HTMLImageElement): HTMLElement {
  const frame = make("div", { className: "swipe" });
  const slider = make("input", { type: "range", min: "0", max: "100", value: "50" });
  slider.setAttribute("aria-label", "Share of the picture that shows before");
  const figure = make("figure", { className: "card" }, make("figcaption", {}, "Before and after"), frame, slider);
  whole.alt = "Before the correction, and after it";
  const ready = () => {
    const [width, height] = [whole.naturalWidth / 2, whole.naturalHeight];
    frame.style.aspectRatio = `${width} / ${height}`;
    frame.style.maxWidth = slider.style.maxWidth = `${Math.max(width, 640)}px`;
    const [after, before] = [half("after", whole, -100), half("before", whole, 0)];
    const edge = make("div", { className: "edge" });
    frame.replaceChildren(after, before, edge);
    const move = () => {
      before.style.clipPath = `inset(0 ${100 - Number(slider.value)}% 0 0)`;
      after.style.clipPath = `inset(0 0 0 ${slider.value}%)`;
      edge.style.left = `${slider.value}%`;
      slider.setAttribute("aria-valuetext", `${slider.value} % before`);
    };
    slider.addEventListener("input", move);
    dragged(frame, (share) => {
      slider.value = String(Math.round(100 * share));
      move();
    });
    move();
  };
  whole.addEventListener("load", ready, { once: true });
  frame.append(whole);
  return figure;
}

/** Tells how far along a frame the pointer is that was put down in it, from 0 to 1. */
function dragged(frame: HTMLElement, moved: (share: number) => void): void {
  const move = ({ clientX }: PointerEvent) => {
    // By the frame: an offset is one within whatever lies under the pointer.
    const { left, width } = frame.getBoundingClientRect();
    moved(Math.min(Math.max((clientX - left) / width, 0), 1));
  };
  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    frame.setPointerCapture(event.pointerId);
    move(event);
  });
  frame.addEventListener("pointermove", (event) => frame.hasPointerCapture(event.pointerId) && move(event));
}

function half(name: "before" | "after", whole: HTMLImageElement, shift: number): HTMLElement {
  const shown = make("img", { src: whole.src, alt: name === "before" ? "Before the correction" : "After the correction" });
  Object.assign(shown.style, { position: "absolute", width: "200%", maxWidth: "none", left: `${shift}%`, top: "0" });
  const tag = make("span", { className: "tag" }, name === "before" ? "Before" : "After");
  tag.style[name === "before" ? "left" : "right"] = "0.5rem";
  shown.draggable = false;
  return make("div", { className: "side" }, shown, tag);
}
