/** Compares names in the order of their UTF-8 bytes, as the hub lists them: that of code points, not of UTF-16 units. */
export function byteOrder(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const one = a.charCodeAt(at);
    const two = b.charCodeAt(at);
    if (one === two) continue;
    // A surrogate stands for a code point above all that have one unit.
    const high = Number(isSurrogate(one)) - Number(isSurrogate(two));
    return high || one - two;
  }
  return a.length - b.length;
}

const isSurrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdfff;
