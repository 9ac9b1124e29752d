/** Shortest block but the last, in UTF-16 units. */
const BLOCK = 1500;

/** A text in blocks that end with a line break: while it grows, only its last one has to be drawn again. */
export function blocks(text: string): string[] {
  const made: string[] = [];
  let from = 0;
  while (text.length - from > BLOCK) {
    const end = text.indexOf('\n', from + BLOCK);
    if (end < 0) break;
    made.push(text.slice(from, end + 1));
    from = end + 1;
  }
  if (from < text.length) made.push(text.slice(from));
  return made;
}
