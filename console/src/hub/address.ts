/** The hub's address: where this page is, at the root of a site or below a path of a proxy. Ends with a slash. */
export const HUB: string = typeof location === 'undefined' ? 'http://localhost:8080/' : new URL('.', location.href.split('#')[0]).href;

/** An absolute URL of the hub. `path` has no leading slash. */
export const url = (path: string, query?: URLSearchParams): string => HUB + path + (query?.size ? '?' + query : '');

/** A topic as the rest of a path: its slashes stay. */
export const topicPath = (topic: string): string => 'topics/' + topic.split('/').map(encodeURIComponent).join('/');

/** A word of a POSIX shell's command line. */
export const shellWord = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
