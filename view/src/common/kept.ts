/** What the browser keeps for a page. Where it may keep nothing, the page itself does, until it is closed. */
export class Kept {
  private value: string | null = null;

  /** @param store gives the storage; to name it is already an error where it is denied */
  constructor(
    private readonly key: string,
    private readonly store: () => Storage,
  ) {}

  get(): string | null {
    try {
      return this.store().getItem(this.key);
    } catch {
      return this.value;
    }
  }

  set(value: string): void {
    this.value = value;
    try {
      this.store().setItem(this.key, value);
    } catch {
      // Denied or full: it is kept here.
    }
  }
}
