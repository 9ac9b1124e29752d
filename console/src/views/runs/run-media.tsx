import { useMemo } from 'preact/hooks';
import { useBlobUrl } from '../kinds/media-display';
import { decoded } from '../kinds/media-shelf';
import type { RunMedia } from './run-reader';

/** An image or a sound of an answer. */
export function RunPicture({ media }: { media: RunMedia }) {
  const blob = useMemo(() => (media.base64 === null ? null : decoded(media.base64, media.mime)), [media]);
  const source = useBlobUrl(blob);
  if (media.refused || (media.base64 !== null && !blob)) return <p class="muted">Not shown: {media.refused ?? 'it is not valid base64'}.</p>;
  if (!source) return null;
  return media.mime.startsWith('image/') ? <img class="run-image" src={source} alt="Image of the answer" /> : <audio src={source} controls aria-label="Sound of the answer" />;
}
