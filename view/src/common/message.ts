/** What went wrong, shown: what happened, what to do, and buttons that do it. */
import { keepToken } from "./api";
import { make } from "./dom";
import type { Failure } from "./failure";

export interface Said {
  message: string;
  remedy: string;
  kind: string;
  leads?: Failure["leads"];
}

/** A place on the page for one message at a time. */
export class Message {
  private again: (() => void) | undefined;

  /** @param after what has the focus once the message is gone, where the message had it */
  constructor(
    private readonly box: HTMLElement,
    private readonly after: HTMLElement,
  ) {}

  tell(said: Said, again?: () => void): void {
    this.again = again;
    // What is said already stays as it is: a token may be half typed, a button have the focus.
    if (this.says(said)) return;
    this.box.dataset["kind"] = said.kind;
    this.box.replaceChildren(
      make("h2", {}, said.message),
      make("p", {}, said.remedy),
      ...(said.kind === "expired" ? [this.signIn()] : []),
      make("div", { className: "buttons" }, ...this.buttons(said)),
    );
    this.box.hidden = false;
    this.box.scrollIntoView({ block: "nearest" });
  }

  clear(): void {
    const focused = this.box.contains(document.activeElement);
    this.box.hidden = true;
    this.box.replaceChildren();
    if (focused) this.after.focus();
  }

  private says({ kind, message }: Said): boolean {
    if (this.box.hidden || this.box.dataset["kind"] !== kind) return false;
    return kind === "expired" || this.box.querySelector("h2")?.textContent === message;
  }

  private buttons({ leads }: Said): HTMLElement[] {
    const found: HTMLElement[] = [];
    if (leads === "reload") found.push(button("Load the page again", () => location.reload(), "main"));
    else if (this.again !== undefined) found.push(button("Try again", () => this.retry(), "main"));
    if (leads === "jobs") {
      // The brand leads to the list of jobs on every page.
      const { href } = document.querySelector<HTMLAnchorElement>("a.brand")!;
      found.push(make("a", { className: "button", href }, "List of your jobs"));
    }
    return [...found, button("Close", () => this.clear())];
  }

  private retry(): void {
    const { again } = this;
    this.clear();
    again?.();
  }

  /** A token for a service that asks for one: kept for this tab alone. */
  private signIn(): HTMLElement {
    const field = make("input", { type: "password", autocomplete: "off", required: true });
    const form = make("form", {}, make("label", {}, "Token of the service", field), make("button", {}, "Sign in"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      keepToken(field.value);
      this.retry();
    });
    return make("details", {}, make("summary", {}, "Sign in with a token"), form);
  }
}

function button(words: string, does: () => void, className = ""): HTMLElement {
  const made = make("button", { type: "button", className }, words);
  made.addEventListener("click", does);
  return made;
}
