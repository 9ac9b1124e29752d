import { expect, it } from 'vitest';
import { oneLine, visible } from './text';

it('shows what would be invisible or turn the line around', () => {
  expect(visible('a\u202eb\u0000c\u200bd\ufeff')).toBe('a\\u{202E}b\\u{0000}c\\u{200B}d\\u{FEFF}');
  expect(visible('\ud800x')).toBe('\\u{D800}x');
});

it('leaves text as it is', () => {
  for (const text of ['Grüße\tan\nalle', 'family 👨\u200d👩\u200d👧', 'עברית', 'العربية', '日本語']) expect(visible(text)).toBe(text);
});

it('makes one line', () => {
  expect(oneLine('a\r\nb\nc\u2028d')).toBe('a ⏎ b ⏎ c\\u{2028}d');
});
