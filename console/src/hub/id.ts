// Ids of events, `<epoch>-<seq>`. A seq has 64 bits, more than a number of JavaScript holds exactly.

/** Epoch and seq; null when the text is not an id. */
export function parts(id: string): { epoch: string; seq: bigint } | null {
  const match = /^([0-9a-z]{4,16})-(\d{1,20})$/.exec(id);
  return match ? { epoch: match[1]!, seq: BigInt(match[2]!) } : null;
}

/** The id that is `by` after this one, or before it; never before the first. Text that is not an id stays. */
export function shifted(id: string, by: number): string {
  const found = parts(id);
  if (!found) return id;
  const seq = found.seq + BigInt(by);
  return `${found.epoch}-${seq < 0n ? 0n : seq}`;
}

/** Whether `a` comes before `b`; false when they are of two epochs. */
export function isBefore(a: string, b: string): boolean {
  const [one, two] = [parts(a), parts(b)];
  return !!one && !!two && one.epoch === two.epoch && one.seq < two.seq;
}
