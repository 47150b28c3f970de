/** The page of jobs: order, see the plan, watch, open. */
import { ask } from "../common/api";
import { make, one } from "../common/dom";
import { asFailure, Failure } from "../common/failure";
import { Message } from "../common/message";
import { themed } from "../common/theme";
import { mark, unmarkAll } from "./faults";
import { Form, type Order, type Process } from "./form";
import { List } from "./list";
import { type Planned, show, unknown } from "./plan";

const choice = one<HTMLSelectElement>("process");
const message = new Message(one("message"), one("order-title"));
/** The order whose plan is shown, and its key: sent twice, it is still one job. */
let planned: (Order & { key: string }) | undefined;

const form = new Form(forget);
const list = new List((failure) => failed(failure, () => void start()));

function forget(): void {
  planned = undefined;
  one("planned").hidden = true;
}

function failed(error: unknown, again: () => void): void {
  const failure = asFailure(error);
  const said = { ...failure, message: form.worded(failure.message) };
  // Whoever signs in has signed in for the list, too.
  message.tell(said, failure.kind === "expired" ? () => void (list.look(), again()) : again);
  const field = form.blamed(failure.message);
  if (field !== undefined) mark(field, said.message);
}

async function start(): Promise<void> {
  void list.look();
  try {
    await choose();
  } catch (error) {
    failed(error, () => void start());
  }
}

/** Show the inputs of the chosen process, where they are not shown: what was typed stays. */
async function choose(): Promise<void> {
  if (choice.options.length === 0) {
    const { processes } = await ask<{ processes: { id: string; title: string }[] }>("processes");
    list.titles = new Map(processes.map(({ id, title }) => [id, title]));
    void list.look();
    choice.replaceChildren(...processes.map(({ id, title }) => make("option", { value: id }, title)));
  }
  const id = choice.value;
  if (form.chosen === id) return;
  const process = await ask<Process>(`processes/${id}`);
  if (choice.value === id && form.chosen !== id) form.show(process);
}

/** Send an order, or ask for its plan. */
function send<T>(what: "execution" | "plan", { process, inputs }: Order, headers: Record<string, string> = {}): Promise<T> {
  const init = {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ inputs }),
  };
  return ask<T>(`processes/${process}/${what}`, init, "Change the order, and try again.");
}

async function plan(): Promise<void> {
  await busy(one("plan"), "Planning …", plan, async () => {
    await choose();
    const { fault } = form;
    if (fault !== undefined) {
      message.tell(fault);
      mark(fault.field, fault.message);
      return;
    }
    const { order, edition } = form;
    const found = await send<Planned>("plan", order).catch((error: unknown) => {
      // A deployed service has no such route.
      if (error instanceof Failure && error.kind === "no-route") return undefined;
      throw error;
    });
    if (edition !== form.edition) {
      const remedy = "Show the plan of the order as it is now.";
      message.tell({ kind: "edited", message: "The order was changed while its plan was made.", remedy }, () => void plan());
      return;
    }
    planned = { ...order, key: crypto.randomUUID() };
    if (found === undefined) unknown();
    else show(found);
  });
}

async function order(): Promise<void> {
  const sent = planned;
  if (sent === undefined) return plan();
  await busy(one("order"), "Ordering …", order, async () => {
    await send("execution", sent, { "Idempotency-Key": sent.key });
    if (planned === sent) forget();
    one("heard").textContent = "Ordered";
    one("jobs-title").focus();
    await list.look();
  });
}

/** Do something once at a time. The button keeps the focus meanwhile, as one that is disabled would not. */
async function busy(button: HTMLElement, words: string, again: () => Promise<void>, work: () => Promise<void>): Promise<void> {
  if (button.ariaDisabled === "true") return;
  const label = button.textContent;
  [button.ariaDisabled, button.textContent] = ["true", words];
  message.clear();
  unmarkAll();
  try {
    await work();
  } catch (error) {
    failed(error, () => void again());
  } finally {
    [button.ariaDisabled, button.textContent] = [null, label];
  }
}

themed(one("theme"));
choice.addEventListener("change", () => void start());
one("form").addEventListener("submit", (event) => {
  event.preventDefault();
  void plan();
});
one("order").addEventListener("click", () => void order());
one("forget").addEventListener("click", () => {
  forget();
  one("west").focus();
});
void start();
