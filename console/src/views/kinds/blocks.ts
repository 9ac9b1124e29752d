/** Shortest block but the last, in UTF-16 units; and the longest, where a line is longer: it is broken at a space then. */
const BLOCK = 1500;
const LONGEST = 4000;

/** A text in blocks that end with a line break: while it grows, only its last one has to be drawn again. */
export function blocks(text: string): string[] {
  const made: string[] = [];
  let from = 0;
  while (text.length - from > BLOCK) {
    let end = text.indexOf('\n', from + BLOCK);
    if (end < 0 || end - from >= LONGEST) {
      if (text.length - from <= LONGEST) break;
      // Of a text without spaces there is no better place; a pair of surrogates stays together.
      const space = text.lastIndexOf(' ', from + LONGEST - 1);
      end = space > from + BLOCK ? space : from + LONGEST - 1;
      if (/[\ud800-\udbff]/.test(text[end]!)) end -= 1;
    }
    made.push(text.slice(from, end + 1));
    from = end + 1;
  }
  if (from < text.length) made.push(text.slice(from));
  return made;
}
