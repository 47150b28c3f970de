const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** A number as people type it, with a point or a comma before its decimals; nothing where it is none. */
export function numeric(text: string): number | undefined {
  const plain = text.trim().replace(",", ".").replace("−", "-");
  const value = NUMBER.test(plain) ? Number(plain) : NaN;
  return Number.isFinite(value) ? value : undefined;
}
