import { count, duration, plural } from '../../format';
import { href } from '../../router';
import { oneLine, visible } from '../../text';
import type { TokenText, TokenTexts } from './token-texts';
import { TypedText } from './typed-text';
import { endingWords, statusWords, usageWords } from './words';

/** Silence after which a text without a known end does not count as being written, in milliseconds. */
const SILENT = 10_000;

/** `now`: the hub's clock, in milliseconds since the epoch. */
export function TokensDisplay({ tokens, drawn, now }: { tokens: TokenTexts; drawn: number; now: number }) {
  const { texts } = tokens;
  if (!texts.length) return null;
  return (
    <div class="kind-texts">
      {texts.dropped > 0 && <p class="muted">{plural(texts.dropped, 'earlier text')} not shown.</p>}
      {[...texts].map((text) => (text.who === 'You' ? <Said key={text.id} text={text.text} /> : <Answer key={text.id} text={text} drawn={drawn} silent={text.run === null && now - text.to > SILENT} />))}
    </div>
  );
}

function Said({ text }: { text: string }) {
  return (
    <div class="kind-said">
      <span class="hidden">You: </span>
      <TypedText text={text} writing={false} label="You" />
    </div>
  );
}

function Answer({ text, silent }: { text: TokenText; drawn: number; silent: boolean }) {
  const { ending } = text;
  const writing = ending === null && !silent;
  return (
    <div class="kind-answer">
      {text.cut > 0 && <p class="muted">The first {plural(text.cut, 'character')} are not shown here.</p>}
      {text.thinking && <Thinking text={text.thinking} writing={writing && !text.text} />}
      {(text.text || writing) && <TypedText text={text.text} writing={writing} label={writing ? 'Answer, being written' : 'Answer'} />}
      {[...text.tools].map(([index, call]) => (
        <ToolCall key={index} name={call.name} given={call.arguments} />
      ))}
      <p class="kind-foot muted">
        {ending || writing ? (
          <span class="badge" data-tone={statusWords(ending?.status ?? 'running')[1]}>
            {ending ? oneLine(endingWords(ending)) : 'Writing'}
          </span>
        ) : (
          <span class="badge">No end seen</span>
        )}
        {text.model && <span class="foreign">{oneLine(text.model)}</span>}
        <span class="number">{ending && usageWords(ending) ? usageWords(ending) : `${count(text.count)} ${text.count === 1 ? 'piece' : 'pieces'}`}</span>
        {text.to > text.from && <span class="number">{duration(text.to - text.from)}</span>}
        {text.run && <a href={href('runs', text.run)}>Run</a>}
      </p>
    </div>
  );
}

/** What a model thinks before it answers. Open while there is no answer yet. */
export function Thinking({ text, writing }: { text: string; writing: boolean }) {
  return (
    <details class="kind-thinking" open={writing}>
      <summary>{writing ? 'Thinking …' : 'Thoughts'}</summary>
      <TypedText text={text} writing={writing} label="Thoughts" />
    </details>
  );
}

export function ToolCall({ name, given }: { name: string; given: string }) {
  return (
    <p class="kind-tool">
      <span class="muted">Calls </span>
      <code class="foreign">
        {oneLine(name)}({visible(given)})
      </code>
    </p>
  );
}
