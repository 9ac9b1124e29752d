import { useEffect, useState } from 'preact/hooks';
import { bytes, clock } from '../../format';
import { oneLine } from '../../text';
import type { MediaItem, MediaShelf } from './media-shelf';

export function MediaDisplay({ shelf }: { shelf: MediaShelf; drawn: number }) {
  if (!shelf.items.length) return null;
  return (
    <ul class="kind-media">
      {[...shelf.items].reverse().map((item) => (
        <Item key={item.id} item={item} />
      ))}
    </ul>
  );
}

function Item({ item }: { item: MediaItem }) {
  const [broken, setBroken] = useState(false);
  const source = useBlobUrl(item.blob);
  const name = oneLine(item.caption) || (item.mime.startsWith('image/') ? 'Image' : 'Sound');
  const why = broken ? 'this browser cannot decode it' : item.refused;
  return (
    <li>
      {why ? (
        <p class="muted">
          Not shown: {why}.
        </p>
      ) : (
        source &&
        (item.mime.startsWith('image/') ? (
          <img src={source} alt={name} onError={() => setBroken(true)} />
        ) : (
          <audio src={source} controls aria-label={name} onError={() => setBroken(true)} />
        ))
      )}
      <p class="muted kind-foot">
        {item.caption && <span class="foreign">{name}</span>}
        <span>{oneLine(item.mime)}</span>
        {item.blob && <span class="number">{bytes(item.blob.size)}</span>}
        <time datetime={item.time}>{clock(new Date(item.time)).slice(0, 8)}</time>
      </p>
    </li>
  );
}

/** An address of the blob, for as long as the component is there. */
export function useBlobUrl(blob: Blob | null): string | null {
  const [address, setAddress] = useState<string | null>(null);
  useEffect(() => {
    if (!blob) return;
    const made = URL.createObjectURL(blob);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return address;
}
