import { type Item } from './attention';
import { helpHref } from './help';

/** What needs attention, on top of the figures. */
export function AttentionList({ items, reconnect }: { items: Item[]; reconnect: (() => void) | null }) {
  return (
    <section class="attention" aria-labelledby="attention">
      <h2 id="attention" class="hidden">
        Needs attention
      </h2>
      {items.length === 0 ? (
        <p class="attention-none">
          <span class="attention-dot" data-tone="good" aria-hidden="true" />
          Nothing needs attention
        </p>
      ) : (
        <ul>
          {items.map(({ tone, text, link }) => (
            <li key={text} data-tone={tone}>
              <span class="attention-dot" aria-hidden="true" />
              <span class="attention-text foreign">{text}</span>
              <a href={helpHref(link)} target="_blank" rel="noopener">
                {link.label}
              </a>
            </li>
          ))}
        </ul>
      )}
      {reconnect && (
        <button type="button" class="small" onClick={reconnect}>
          Connect now
        </button>
      )}
    </section>
  );
}
