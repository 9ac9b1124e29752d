import { useEffect, useRef, useState } from 'preact/hooks';
import { title } from '../../app';
import { access, mayAdmin } from '../../hub/access';
import { HUB, shellWord } from '../../hub/address';
import { curlToken } from '../../hub/credential';
import { runPath } from '../../hub/runs';
import { href } from '../../router';
import { oneLine, visible } from '../../text';
import { Command } from '../../ui/copy';
import { Note, Refusal } from '../../ui/note';
import { EinkSwitch } from '../kinds/kinds-tools';
import { eink } from '../kinds/settings';
import { Thinking, ToolCall } from '../kinds/tokens-display';
import { TypedText } from '../kinds/typed-text';
import { endingWords, statusWords } from '../kinds/words';
import { promptOf } from './prompts';
import { RunActions } from './run-actions';
import { RunFacts } from './run-facts';
import { RunPicture } from './run-media';
import { type RunShown, useRun } from './use-run';

/** Distance from the page's end at which it follows the text, in pixels. */
const AT_END = 80;

/** Whether a run may be stopped and deleted: by its holder, whom only the hub knows, or with `admin`. */
const mayEnd = (): boolean => mayAdmin() || (access.value.state === 'known' && access.value.who.models.length > 0);

export function RunPage({ id }: { id: string }) {
  const shown = useRun(id);
  const { reader, info, stream } = shown;
  const [deleted, setDeleted] = useState(false);
  const run = info.value;
  const status = reader.ending?.status ?? run?.status ?? 'running';
  const model = oneLine(reader.model || run?.model || '');
  useEffect(() => {
    if (model) title(`${statusWords(status)[0]}: ${model}`);
  }, [model, status]);
  useFollow(reader.ending === null);
  const back = (
    <p>
      <a href={href('runs')}>Back to the list</a>
    </p>
  );
  if (deleted)
    return (
      <>
        {back}
        <h1>Run deleted</h1>
        <Note kind="info">What it said is no longer kept.</Note>
      </>
    );
  const failure = stream.name === 'refused' ? stream.error : info.error;
  if (failure && !reader.deltas && !run)
    return (
      <>
        {back}
        <h1>Run</h1>
        {failure.status === 404 ? (
          <Note kind="warn">
            <p>There is no run with this id, or it is no longer kept. Runs are kept for a day, unless the hub is configured otherwise.</p>
          </Note>
        ) : (
          <Refusal error={failure} retry={info.reload} />
        )}
      </>
    );
  return (
    <article class="run" data-eink={eink.value} data-running={status === 'running'} aria-label="Run">
      <header class="run-head">
        {back}
        <div class="row">
          <h1 class="foreign">{model || 'Run'}</h1>
          <span class="badge" data-tone={statusWords(status)[1]} role="status">
            {reader.stopping && status === 'running' ? 'Ending, tokens are counted' : statusWords(status)[0]}
          </span>
          <span class="grow" />
          <EinkSwitch />
          {mayEnd() && <RunActions id={id} model={model} topic={run?.topic ?? null} running={status === 'running'} onDeleted={() => setDeleted(true)} />}
        </div>
      </header>
      <RunFacts shown={shown} status={status} />
      <Trouble shown={shown} status={status} />
      <Said id={id} />
      <Answer shown={shown} status={status} />
      <section class="run-elsewhere">
        <h2>Read it elsewhere</h2>
        <p class="muted">From its start, and then live; with a Last-Event-ID it goes on from there. The text alone:</p>
        <Command>{`curl -N ${curlToken()}${shellWord(`${HUB}${runPath(id)}/events?format=text`)}`}</Command>
      </section>
    </article>
  );
}

/** The question, where it was asked in this tab. */
function Said({ id }: { id: string }) {
  const prompt = promptOf(id);
  return prompt === null ? null : (
    <div class="kind-said">
      <span class="hidden">You: </span>
      <TypedText text={prompt} writing={false} label="You" />
    </div>
  );
}

function Answer({ shown: { reader }, status }: { shown: RunShown; status: string }) {
  const writing = reader.ending === null && status === 'running';
  return (
    <div class="kind-answer run-text">
      {reader.reasoning && <Thinking text={reader.reasoning} writing={writing && !reader.text} />}
      {(reader.text || writing) && <TypedText text={reader.text} writing={writing} label={writing ? 'Answer, being written' : 'Answer'} />}
      {[...reader.calls].map(([index, call]) => (
        <ToolCall key={index} name={call.name} given={call.arguments} />
      ))}
      {reader.media.map((media, at) => (
        <RunPicture key={at} media={media} />
      ))}
      {!writing && !reader.text && !reader.calls.size && !reader.media.length && <p class="muted">It has said nothing.</p>}
    </div>
  );
}

/** What is wrong, in words. */
function Trouble({ shown: { reader, stream, info }, status }: { shown: RunShown; status: string }) {
  const ending = reader.ending ?? (info.value?.ended ? { status, by: info.value.by ?? null, error: info.value.error?.message ?? null } : null);
  const bad = ending && statusWords(ending.status)[1] === 'bad';
  return (
    <>
      {ending && ending.status !== 'completed' && <Note kind={bad ? 'bad' : 'warn'}>{visible(endingWords(ending))}.</Note>}
      {reader.gaps > 0 && <Note kind="warn">A part of this answer is no longer kept.</Note>}
      {stream.name === 'waiting' && <Note kind="warn">No connection: {stream.reason}. The page comes back by itself, and nothing is lost.</Note>}
      {stream.name === 'refused' && <Refusal error={stream.error} />}
    </>
  );
}

/** Keeps the end of the page in sight while the text grows, for who is at the end. */
function useFollow(growing: boolean) {
  const atEnd = useRef(false);
  const page = document.documentElement;
  // Before this drawing changes the page.
  atEnd.current = growing && page.scrollHeight > innerHeight && innerHeight + scrollY >= page.scrollHeight - AT_END;
  useEffect(() => {
    if (atEnd.current) scrollTo({ top: page.scrollHeight, behavior: 'instant' });
  });
}
