/** The list of files, by links that work when they are followed. */
import { fileName } from "../common/api";
import { make } from "../common/dom";
import { asFailure, type Failure } from "../common/failure";
import type { Files, Result } from "./result";

export function list(box: HTMLElement, files: Files, result: Result, failed: (failure: Failure, again: () => void) => void): void {
  box.replaceChildren(
    ...Object.entries(files).map(([output, file]) => {
      const link = make("a", { href: file.href, download: fileName(file) }, fileName(file));
      const follow = async () => {
        try {
          const fresh = (await result.files())[output];
          if (fresh !== undefined) link.href = fresh.href;
          link.click();
        } catch (error) {
          failed(asFailure(error), () => void follow());
        }
      };
      link.addEventListener("click", (event) => {
        if (!result.old) return;
        event.preventDefault();
        void follow();
      });
      return make("li", {}, link, make("span", { className: "fine" }, file.title));
    }),
  );
}
