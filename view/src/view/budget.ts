/** How many points are drawn at once: as many as this computer draws without the view being slow to move. */

/** At first, at least and at most. */
const POINTS = { first: 1_500_000, least: 250_000, most: 4_000_000 };
/** Milliseconds of a frame, above which fewer points are drawn, and below which more. */
const SLOW = 45;
const FAST = 20;
/** Frames whose median is judged: one may be slow for reasons of its own. */
const FRAMES = 5;

export class Budget {
  points = POINTS.first;
  private frames: number[] = [];
  private timing = false;

  constructor(private readonly context: WebGL2RenderingContext) {}

  /** Begin to time a frame; what is given is to be called, with its points, once it is drawn. One at a time. */
  begin(): ((drawn: number) => void) | undefined {
    if (this.timing) return undefined;
    this.timing = true;
    const started = performance.now();
    return (drawn) => this.wait(drawn, started);
  }

  /** Time until the graphics card is done: when the next frame is asked for says as much of the hand that moves the view. */
  private wait(drawn: number, started: number): void {
    const { context } = this;
    const sync = context.fenceSync(context.SYNC_GPU_COMMANDS_COMPLETE, 0);
    context.flush();
    const look = () => {
      const done = sync === null || context.isContextLost() || context.getSyncParameter(sync, context.SYNC_STATUS) === context.SIGNALED;
      if (!done) {
        requestAnimationFrame(look);
        return;
      }
      context.deleteSync(sync);
      this.timing = false;
      this.took(drawn, performance.now() - started);
    };
    requestAnimationFrame(look);
  }

  private took(drawn: number, milliseconds: number): void {
    if (this.frames.push(milliseconds) < FRAMES) return;
    const median = this.frames.sort((a, b) => a - b)[FRAMES >> 1]!;
    this.frames = [];
    // A second for a frame is not endured while it gets better by and by.
    if (median > SLOW) this.points = Math.max(POINTS.least, (drawn * SLOW) / median);
    else if (median < FAST) this.points = Math.min(POINTS.most, 1.15 * this.points);
  }
}
