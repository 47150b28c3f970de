/** Dark and light: as the system has it, until the reader chooses. */
import { Kept } from "./kept";

const CHOSEN = new Kept("eo-shards-theme", () => localStorage);

export function themed(button: HTMLButtonElement): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (CHOSEN.get() ?? (system.matches ? "dark" : "light")) === "dark";
  const show = () => {
    document.documentElement.dataset["theme"] = dark() ? "dark" : "light";
    button.setAttribute("aria-pressed", String(dark()));
  };
  button.addEventListener("click", () => {
    CHOSEN.set(dark() ? "light" : "dark");
    show();
  });
  system.addEventListener("change", show);
  show();
}
