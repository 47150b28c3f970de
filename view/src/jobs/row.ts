/** A job in the list. */
import { make, one } from "../common/dom";

export interface Job {
  jobID: string;
  processID: string;
  status: "accepted" | "running" | "successful" | "failed" | "dismissed";
  message?: string;
  created: string;
  progress?: number;
  /** What was ordered, degrees; jobs of older software do not say. */
  bbox?: [number, number, number, number];
}

export const STATES: Record<Job["status"], string> = {
  accepted: "waits",
  running: "works",
  successful: "done",
  failed: "failed",
  dismissed: "stopped",
};

export const works = ({ status }: Job) => status === "accepted" || status === "running";

export class Row {
  readonly item = make("li");
  status: Job["status"] | undefined;
  private readonly does = make("span", { className: "does" });
  private readonly state = make("span", { className: "state" });
  private readonly since = make("span");
  private readonly process = make("strong");
  private readonly said = make("span", { className: "fine" });
  private readonly bar = make("progress", { max: 100 });
  private readonly button: HTMLButtonElement;

  constructor(
    private readonly job: string,
    stop: () => void,
  ) {
    this.button = make("button", { id: `stop-${job}`, type: "button" }, "Stop");
    this.button.setAttribute("aria-label", `Stop job ${job}`);
    this.button.addEventListener("click", stop);
    this.bar.setAttribute("aria-label", `Progress of job ${job}`);
    const about = make("span", { className: "fine" }, this.state, this.since);
    this.item.append(this.process, this.does, about, this.said, this.bar);
  }

  set stopping(stopping: boolean) {
    this.button.ariaDisabled = stopping ? "true" : null;
  }

  get stopping(): boolean {
    return this.button.ariaDisabled === "true";
  }

  /** @param title of its process */
  show(job: Job, title: string): void {
    const when = new Date(job.created).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
    this.process.textContent = title;
    const where = job.bbox === undefined ? "" : ` · ${job.bbox.map((edge) => Number(edge.toFixed(4))).join(", ")}`;
    this.since.textContent = ` · ${when}${where} · ${job.jobID}`;
    this.said.textContent = job.message ?? "";
    this.said.hidden = !job.message;
    this.bar.value = job.progress ?? 0;
    if (job.status === this.status) return;
    this.status = job.status;
    this.state.className = `state ${job.status}`;
    this.state.textContent = STATES[job.status];
    this.bar.hidden = !works(job);
    const focused = this.does.contains(document.activeElement);
    this.does.replaceChildren(...(works(job) ? [this.button] : job.status === "successful" ? [this.open()] : []));
    if (focused) ((this.does.firstElementChild as HTMLElement | null) ?? one("jobs-title")).focus();
  }

  private open(): HTMLElement {
    const open = make("a", { id: `open-${this.job}`, className: "button", href: `jobs/${this.job}/view` }, "Open");
    open.setAttribute("aria-label", `Open job ${this.job}`);
    return open;
  }
}
