import { useMemo } from 'preact/hooks';
import { visible } from '../../text';
import { blocks } from './blocks';
import './typed-text.css';

/** A text of a publisher that grows at its end. `writing`: shows a caret there. */
export function TypedText({ text, writing, label }: { text: string; writing: boolean; label: string }) {
  const parts = blocks(text);
  if (!parts.length) parts.push('');
  return (
    <div class="typed foreign" dir="auto" role="group" aria-label={label} aria-busy={writing} data-writing={writing}>
      {parts.map((part, at) => (
        <Block key={at} text={part} />
      ))}
    </div>
  );
}

function Block({ text }: { text: string }) {
  return useMemo(() => <div>{visible(text)}</div>, [text]);
}
