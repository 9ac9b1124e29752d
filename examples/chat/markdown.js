// Markdown as it comes: what is complete stays as it is, and only the last block is made again. Text is only ever inserted
// as text, never as markup. Images are links: the page asks no other server for anything.

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(?:\s+|$)/;
const DIVIDER = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
// The beginning of a line of which it is not known yet what it will be.
const UNDECIDED = /(?:^|\n)[ \t]*(?:\d{1,9}[.)]?|[-*+_#`~|>=]+)[ \t]*$/;
// Lists and quotes in one another; deeper ones are shown as text.
const DEEPEST = 8;

/** A text in an element, which grows. */
export class MarkdownView {
  #element;
  #text = '';
  #start = 0;

  constructor(element) {
    this.#element = element;
  }

  /** Shows `text`, which begins with what was shown before. Until it is `complete`, more of its last line may come. */
  show(text, complete) {
    if (!complete) text = text.replace(UNDECIDED, '\n');
    if (text === this.#text) return;
    this.#text = text;
    const blocks = split(text.slice(this.#start));
    if (!blocks.length) return;
    const elements = blocks.map(block => render(block, 0));
    if (this.#element.lastElementChild) this.#element.lastElementChild.replaceWith(...elements);
    else this.#element.append(...elements);
    this.#start += blocks.at(-1).at;
  }
}

/** The blocks of a text: {kind, lines, at}, where `at` is the index of its first character. */
function split(text) {
  const lines = text.split('\n'), blocks = [];
  const at = [];
  lines.reduce((sum, line) => (at.push(sum), sum + line.length + 1), 0);
  for (let i = 0; i < lines.length;) {
    if (!lines[i].trim()) {
      i++;
      continue;
    }
    const kind = kindOf(lines, i), first = i++;
    if (kind === 'code') {
      const fence = FENCE.exec(lines[first])[1];
      const closes = line => line.trim().startsWith(fence) && !line.trim().slice(fence.length).replaceAll(fence[0], '');
      while (i < lines.length && !closes(lines[i])) i++;
      i++;
    } else if (kind === 'list') {
      const [, indent, mark] = ITEM.exec(lines[first]), numbered = /\d/.test(mark);
      const isOther = item => item[1].length <= indent.length + 1 && /\d/.test(item[2]) !== numbered;
      const belongs = line => ITEM.test(line) ? !isOther(ITEM.exec(line)) : /^\s+\S/.test(line);
      for (; i < lines.length; i++) {
        if (belongs(lines[i]) && !RULE.test(lines[i])) continue;
        // A blank line belongs to the list if more of the list follows; a plain line continues a paragraph in it.
        if (lines[i].trim() ? lines[i - 1].trim() && kindOf(lines, i) === 'text' : belongs(lines[i + 1] ?? '')) continue;
        break;
      }
    } else if (kind === 'quote') {
      while (i < lines.length && (QUOTE.test(lines[i]) || (lines[i].trim() && kindOf(lines, i) === 'text'))) i++;
    } else if (kind === 'table') {
      while (i < lines.length && lines[i].includes('|') && lines[i].trim()) i++;
    } else if (kind === 'text') {
      while (i < lines.length && lines[i].trim() && kindOf(lines, i) === 'text') i++;
    }
    blocks.push({ kind, lines: lines.slice(first, i), at: at[first] });
  }
  return blocks;
}

function kindOf(lines, i) {
  const line = lines[i];
  if (FENCE.test(line)) return 'code';
  if (HEADING.test(line)) return 'heading';
  if (RULE.test(line)) return 'rule';
  if (QUOTE.test(line)) return 'quote';
  if (ITEM.test(line)) return 'list';
  if (line.includes('|') && DIVIDER.test(lines[i + 1] ?? '') && lines[i + 1].includes('-')) return 'table';
  return 'text';
}

function render({ kind, lines }, depth) {
  switch (kind) {
    case 'code': {
      const [, fence, language] = FENCE.exec(lines[0]);
      const closed = lines.length > 1 && lines.at(-1).trim().startsWith(fence);
      const code = element('code', lines.slice(1, closed ? -1 : undefined).join('\n'));
      const pre = element('pre', code);
      if (language) pre.dataset.language = language;
      // So that it can be scrolled by keyboard.
      pre.tabIndex = 0;
      return pre;
    }
    case 'heading': {
      const [, marks, text] = HEADING.exec(lines[0]);
      // The page has the headings of the first two levels.
      return element('h' + Math.min(marks.length + 2, 6), ...inline(text));
    }
    case 'rule':
      return element('hr');
    case 'quote':
      return nested('blockquote', lines.map(line => line.replace(QUOTE, '')), depth);
    case 'list':
      return list(lines, depth);
    case 'table':
      return table(lines);
    default:
      return element('p', ...inline(lines.map(line => line.trimStart()).join('\n')));
  }
}

function nested(tag, lines, depth) {
  const text = lines.join('\n');
  return element(tag, ...depth < DEEPEST ? split(text).map(block => render(block, depth + 1)) : [text]);
}

function list(given, depth) {
  const lines = given.map(line => line.replace(/^\t+/, tabs => '    '.repeat(tabs.length)));
  const [, indent, mark] = ITEM.exec(lines[0]);
  const ordered = /\d/.test(mark), items = [];
  let width = 0;
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && item[1].length <= indent.length + 1) {
      items.push([line.slice(item[0].length)]);
      width = item[0].length;
    } else {
      // What is below an item loses the indentation of its content.
      items.at(-1).push(line.slice(Math.min(width, line.length - line.trimStart().length)));
    }
  }
  const made = element(ordered ? 'ol' : 'ul', ...items.map(item => tight(nested('li', item, depth))));
  if (ordered && parseInt(mark, 10) !== 1) made.start = parseInt(mark, 10);
  return made;
}

// A paragraph alone in its item has no space around it.
function tight(item) {
  if (item.firstElementChild?.tagName === 'P') item.firstElementChild.replaceWith(...item.firstElementChild.childNodes);
  return item;
}

function table(lines) {
  const cells = line => line.trim().replace(/^\||(?<!\\)\|$/g, '').split(/(?<!\\)\|/).map(cell => cell.trim().replaceAll('\\|', '|'));
  const [head, , ...rows] = lines.map(cells);
  const row = (tag, row) => element('tr', ...head.map((_, i) => element(tag, ...inline(row[i] ?? ''))));
  const body = element('tbody', ...rows.map(cells => row('td', cells)));
  const scroller = element('div', element('table', element('thead', row('th', head)), body));
  scroller.className = 'table';
  scroller.tabIndex = 0;
  return scroller;
}

// In this order: an escape, code, an image or a link, an address, bold, strong emphasis by the other mark, deleted, emphasis.
const INLINE = new RegExp([
  /\\([!-/:-@[-`{-~])/,
  /(`+)(?!`)([\s\S]*?[^`])\2(?!`)/,
  /!?\[((?:[^[\]\\]|\\.)*)\]\((\S+?)(?:\s+"[^"]*")?\)/,
  /(https?:\/\/[^\s<>"'`]*[^\s<>"'`.,:;!?)\]}*_])/,
  /\*\*(?=\S)((?:[^*]|\*(?!\*))*?[^\s*])\*\*/,
  /(?<![\p{L}\p{N}_])__(?=\S)([^_]*?[^\s_])__(?![\p{L}\p{N}_])/,
  /~~(?=\S)([^~]*?\S)~~/,
  /\*(?=[^\s*])([^*]*?[^\s*])\*/,
  /(?<![\p{L}\p{N}_])_(?=[^\s_])([^_]*?[^\s_])_(?![\p{L}\p{N}_])/,
  /( {2,}|\\)\n/,
].map(part => part.source).join('|'), 'gu');

function inline(text, depth = 0) {
  if (depth > DEEPEST) return [text];
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    nodes.push(text.slice(end, found.index), mark(found, depth + 1));
    end = found.index + found[0].length;
  }
  nodes.push(text.slice(end));
  return nodes.filter(node => node !== '');
}

function mark([all, escaped, , code, label, target, address, ...marked], depth) {
  if (escaped) return escaped;
  if (code !== undefined) return element('code', code.replace(/\n/g, ' ').replace(/^ (.*[^ ].*) $/, '$1'));
  if (target !== undefined) return link(target, inline(label, depth)) ?? all;
  if (address) return link(address, [address]) ?? all;
  const tags = ['strong', 'strong', 'del', 'em', 'em', 'br'], kind = marked.findIndex(text => text !== undefined);
  return tags[kind] === 'br' ? element('br') : element(tags[kind], ...inline(marked[kind], depth));
}

/** A link to another page, or nothing if the address is not one: `javascript:` and the like stay text. */
function link(target, content) {
  if (!/^(https?:\/\/.|mailto:)/i.test(target) || !URL.canParse(target)) return undefined;
  const made = element('a', ...content.length ? content : [target]);
  Object.assign(made, { href: target, target: '_blank', rel: 'noopener noreferrer' });
  return made;
}

function element(tag, ...content) {
  const made = document.createElement(tag);
  made.append(...content);
  return made;
}
