// Topics and patterns, as docs/PROTOCOL.md defines them under "Names".

/** Whether `pattern` matches the topic: `*` is one segment, a final `**` one or more. */
export function matches(pattern: string, topic: string): boolean {
  const wanted = pattern.split('/');
  const parts = topic.split('/');
  if (wanted.at(-1) === '**') {
    wanted.pop();
    return parts.length > wanted.length && wanted.every((part, at) => part === '*' || part === parts[at]);
  }
  return wanted.length === parts.length && wanted.every((part, at) => part === '*' || part === parts[at]);
}

/** Whether every topic that `filter` matches is matched by `pattern`. */
export function covers(pattern: string, filter: string): boolean {
  const wide = pattern.split('/');
  const narrow = filter.split('/');
  const open = wide.at(-1) === '**';
  if (open) wide.pop();
  const narrowOpen = narrow.at(-1) === '**';
  if (narrowOpen && !open) return false;
  const fixed = narrowOpen ? narrow.length - 1 : narrow.length;
  if (narrowOpen ? fixed < wide.length : open ? fixed <= wide.length : fixed !== wide.length) return false;
  return wide.every((part, at) => part === '*' || part === narrow[at]);
}

/** Whether one of the patterns matches the topic; true while they are not known. */
export const grants = (patterns: string[] | undefined, topic: string): boolean =>
  patterns === undefined || patterns.some((pattern) => matches(pattern, topic));

/** A topic that the filter matches: itself, where it is one. */
export const exampleOf = (filter: string): string =>
  filter
    .split('/')
    .map((part) => (part === '*' || part === '**' ? 'demo' : part))
    .join('/');

/** Whether the text is a pattern. */
export const isPattern = (filter: string): boolean => filter.split('/').some((part) => part === '*' || part === '**');
