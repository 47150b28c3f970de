/** The reader's jobs, looked at again as long as one of them works. */
import { ask } from "../common/api";
import { one } from "../common/dom";
import { asFailure, Failure } from "../common/failure";
import { Message } from "../common/message";
import { type Job, Row, STATES, works } from "./row";

/** Milliseconds between looks, while something works and while nothing does. */
const [SOON, LATER] = [1500, 20_000];
const SHOWN = 50;

export class List {
  private timer = 0;
  /** Counts looks: the answers of one that another has overtaken are dropped. */
  private turn = 0;
  private readonly rows = new Map<string, Row>();
  private readonly message = new Message(one("jobs-message"), one("jobs-title"));
  /** Whether what is said is that the list could not be had, so that the next one takes it away. */
  private lost = false;

  /** Of the processes, by id: what jobs are called. */
  titles: ReadonlyMap<string, string> = new Map();

  /** @param refused is called where the service wants a token; until then nothing more is asked for */
  constructor(private readonly refused: (failure: Failure) => void) {
    document.addEventListener("visibilitychange", () => document.hidden || void this.look());
  }

  /** Look now, and again later. */
  async look(): Promise<void> {
    clearTimeout(this.timer);
    const turn = ++this.turn;
    let pause = LATER;
    try {
      const jobs = await looked();
      if (turn !== this.turn) return;
      if (jobs.some(works)) pause = SOON;
      if (this.lost) this.message.clear();
      this.lost = false;
      this.show(jobs);
    } catch (error) {
      if (turn !== this.turn) return;
      const failure = asFailure(error);
      if (failure.kind === "expired") {
        this.refused(failure);
        return;
      }
      this.lost = true;
      this.message.tell(failure, () => void this.look());
    }
    if (!document.hidden) this.timer = setTimeout(() => void this.look(), pause);
  }

  /** Rows stay where they are, with what has the focus in them. */
  private show(jobs: Job[]): void {
    one("none").hidden = jobs.length > 0;
    const list = one("jobs");
    const there = new Set(jobs.map((job) => job.jobID));
    for (const [id, row] of this.rows) {
      if (there.has(id)) continue;
      row.item.remove();
      this.rows.delete(id);
    }
    const changed: Job[] = [];
    jobs.forEach((job, index) => {
      const known = this.rows.get(job.jobID);
      const row = known ?? new Row(job.jobID, () => void this.stop(job.jobID));
      this.rows.set(job.jobID, row);
      if (known !== undefined && known.status !== job.status) changed.push(job);
      row.show(job, this.titles.get(job.processID) ?? job.processID);
      if (list.children[index] !== row.item) list.insertBefore(row.item, list.children[index] ?? null);
    });
    // For whoever cannot see the list.
    if (changed.length > 0) {
      one("heard").textContent = changed.map((job) => `Job ${job.jobID}: ${STATES[job.status]}`).join("; ");
    }
  }

  private async stop(job: string): Promise<void> {
    const row = this.rows.get(job);
    if (row === undefined || row.stopping) return;
    row.stopping = true;
    try {
      await ask(`jobs/${job}`, { method: "DELETE" }, "See in the list what has become of the job.");
    } catch (error) {
      const failure = asFailure(error);
      this.lost = false;
      if (failure.kind === "expired") this.refused(failure);
      else this.message.tell(failure, () => void this.stop(job));
    }
    row.stopping = false;
    await this.look();
  }
}

/** The jobs, with the progress of those that work: the list leaves it out, since it takes a look at each job's parts. */
async function looked(): Promise<Job[]> {
  const { jobs } = await ask<{ jobs: Job[] }>(`jobs?limit=${SHOWN}`);
  return Promise.all(
    jobs.map((job) =>
      !works(job) ? job
      : ask<Job>(`jobs/${job.jobID}`).catch((error: unknown) => {
          // It may have gone since.
          if (error instanceof Failure && error.kind === "gone") return job;
          throw error;
        }),
    ),
  );
}
