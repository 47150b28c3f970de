/** Fields that were refused: said at the field, and to whoever only hears it. */
import { make } from "../common/dom";

/** Say at a field what is wrong with it, and go there. */
export function mark(field: HTMLElement, words: string): void {
  unmark(field);
  const fault = make("small", { id: `${field.id}-fault`, className: "fault" }, words);
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", [...descriptions(field), fault.id].join(" "));
  field.closest(".field, .edges")?.append(fault);
  field.closest("details")?.setAttribute("open", "");
  field.focus();
}

/** Nothing is wrong with a field any more, as far as the page knows. */
export function unmark(field: HTMLElement): void {
  if (!field.hasAttribute("aria-invalid")) return;
  const id = `${field.id}-fault`;
  document.getElementById(id)?.remove();
  field.removeAttribute("aria-invalid");
  const others = descriptions(field).filter((each) => each !== id);
  if (others.length > 0) field.setAttribute("aria-describedby", others.join(" "));
  else field.removeAttribute("aria-describedby");
}

/** What the service said of an earlier order says nothing of the next. */
export function unmarkAll(): void {
  for (const field of document.querySelectorAll<HTMLElement>("[aria-invalid]")) unmark(field);
}

function descriptions(field: HTMLElement): string[] {
  return field.getAttribute("aria-describedby")?.split(" ") ?? [];
}
