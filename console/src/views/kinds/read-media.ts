// Images and sound within events: `data:` URLs, and objects with a MIME type and base64. Only types that cannot run anything.
import { type Fields, fields, first, list, text } from './json';
import type { KindEvent, MediaReading } from './reading';

const IMAGES = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif']);
/** Longest base64 that is shown, in characters: 8 MiB of it are 6 MiB of image. */
export const MOST_BASE64 = 8 * 1024 * 1024;
const MIME = ['mime', 'mime_type', 'mimeType', 'media_type', 'mediaType', 'content_type', 'contentType', 'type'] as const;
const DATA = ['data', 'base64', 'content', 'body', 'bytes'] as const;
const URLS = ['url', 'src', 'image', 'audio', 'image_url', 'data'] as const;
const CAPTION = ['caption', 'alt', 'title', 'name', 'filename', 'file'] as const;
const DATA_URL = /^\s*data:([a-z]+\/[a-z0-9.+-]{1,60})((?:;[a-z0-9-]+=[^;,]{0,60})*);base64,/i;

/** The image or sound in an event; null when it has none. */
export function readMedia(event: KindEvent, json: Fields | null): MediaReading | null {
  if (!json) return fromUrl(event.data, '');
  const caption = (first(json, CAPTION, text) ?? '').slice(0, 200);
  const mime = first(json, MIME, text)?.split(';')[0]!.trim().toLowerCase();
  if (mime && /^(image|audio|video)\/[a-z0-9.+-]{1,60}$/.test(mime)) {
    const given = first(json, DATA, text);
    if (given !== null) return fromUrl(given, caption) ?? media(mime, given, caption);
  }
  for (const name of URLS) {
    const found = typeof json[name] === 'string' ? fromUrl(json[name], caption) : null;
    if (found) return found;
  }
  return fromGemini(json, caption);
}

function fromUrl(given: string, caption: string): MediaReading | null {
  const head = DATA_URL.exec(given.slice(0, 300));
  if (!head || !/^(image|audio|video)\//i.test(head[1]!)) return null;
  return media(head[1]!.toLowerCase(), given.slice(head[0].length), caption);
}

/** A picture that a model has made stands in its frame. */
function fromGemini(json: Fields, caption: string): MediaReading | null {
  for (const value of list(fields(fields(list(json.candidates)[0])?.content)?.parts)) {
    const inline = fields(fields(value)?.inlineData);
    const mime = text(inline?.mimeType);
    const data = text(inline?.data);
    if (mime && data) return media(mime.toLowerCase(), data, caption);
  }
  return null;
}

function media(mime: string, given: string, caption: string): MediaReading {
  const refused = (why: string): MediaReading => ({ kind: 'media', mime, base64: null, refused: why, caption });
  if (!IMAGES.has(mime) && !/^audio\//.test(mime)) return refused('this type is not shown');
  if (given.length > MOST_BASE64) return refused('it is too large to be shown here');
  const base64 = given.replace(/\s+/g, '').replaceAll('-', '+').replaceAll('_', '/');
  if (!base64 || !/^[a-z0-9+/]+={0,2}$/i.test(base64)) return refused('it is not valid base64');
  return { kind: 'media', mime, base64, refused: null, caption };
}
