// Text of publishers is shown as text, never as markup. Characters that would be invisible or change the direction of what
// stands beside them are shown by their code.

/** Controls, format characters (bidi among them), line and paragraph separators, and lone surrogates. Tabs and line breaks stay. */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}/gu;

/** `text` with each hidden character as `\u{202E}`. */
export const visible = (text: string): string =>
  text.replace(HIDDEN, (hidden) => `\\u{${hidden.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}}`);

/** The same in one line: line breaks become ⏎. */
export const oneLine = (text: string): string => visible(text.replace(/\r\n|\r|\n/g, ' ⏎ '));
