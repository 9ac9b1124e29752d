// The address of a view is in the fragment: `#/topics/jobs/42?after=…`. So a link works wherever a proxy serves the hub, and no
// part of it is sent to a server.
import { computed, signal } from '@preact/signals';

export const VIEWS = ['overview', 'topics', 'live', 'streams', 'runs'] as const;
export type View = (typeof VIEWS)[number];

export interface Route {
  view: View | null;
  /** What follows the view's name, decoded: a topic, the id of a run; empty for the view itself. */
  rest: string;
  query: URLSearchParams;
}

/** The route of a fragment. Malformed percent-encoding is kept as it is. */
export function parse(fragment: string): Route {
  const text = fragment.replace(/^#\/?/, '');
  const at = text.indexOf('?');
  const path = at < 0 ? text : text.slice(0, at);
  const query = new URLSearchParams(at < 0 ? '' : text.slice(at + 1));
  const [name = '', ...rest] = path.split('/');
  // The page's first version had `#topic=…&from=…`.
  if (name.startsWith('topic=')) return { view: 'live', rest: '', query: new URLSearchParams(text) };
  const view = VIEWS.find((known) => known === name) ?? null;
  return { view, rest: rest.map(decoded).join('/'), query };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The fragment of a view, with `#`. `rest` is a topic or an id, as in [`Route`]. */
export function href(view: View, rest = '', query: Record<string, string> = {}): string {
  const path = rest ? '/' + rest.split('/').map(encodeURIComponent).join('/') : '';
  const text = new URLSearchParams(query).toString();
  return `#/${view}${path}${text ? '?' + text : ''}`;
}

const fragment = signal(typeof location === 'undefined' ? '' : location.hash);
if (typeof addEventListener !== 'undefined') addEventListener('hashchange', () => (fragment.value = location.hash));

/** The present route. */
export const route = computed(() => parse(fragment.value));

/** Goes to `target`, the result of [`href`]. `replace`: without an entry in the browser's history. */
export function navigate(target: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, '', target);
  else history.pushState(null, '', target);
  fragment.value = location.hash;
}
