import { useEffect, useState } from 'preact/hooks';
import { HUB } from '../../hub/address';
import { hubNow } from '../../hub/clock';
import { curlToken } from '../../hub/credential';
import { listRuns } from '../../hub/runs';
import type { Run, RunStatus } from '../../hub/types';
import { count, dateTime, plural } from '../../format';
import { href, navigate, route } from '../../router';
import { oneLine } from '../../text';
import { Command } from '../../ui/copy';
import { Empty } from '../../ui/empty';
import { Refusal } from '../../ui/note';
import { useResource } from '../../ui/resource';
import { statusWords } from '../kinds/words';
import { tookWords } from './run-facts';

const STATUSES: RunStatus[] = ['running', 'completed', 'stopped', 'abandoned', 'failed', 'truncated', 'timed_out', 'interrupted'];
const PAGE = 50;
/** How often the list is read again, in milliseconds. */
const EVERY = 3000;

export function RunList({ ask }: { ask: boolean }) {
  const { query } = route.value;
  const [status, topic, after] = [query.get('status') ?? '', query.get('topic') ?? '', query.get('after') ?? ''];
  const page = useResource((signal) => listRuns({ status, topic, after, limit: PAGE }, signal), [status, topic, after], EVERY);
  const filtered = status !== '' || topic !== '';
  const to = (change: Record<string, string>) => {
    const wanted = Object.entries({ status, topic, ...change }).filter(([, value]) => value);
    navigate(href('runs', '', Object.fromEntries(wanted)));
  };
  const runs = page.value?.runs;
  return (
    <>
      <h1>Runs</h1>
      {(filtered || after || !!runs?.length) && <Filter status={status} topic={topic} change={to} />}
      {page.error && <Refusal error={page.error} retry={page.reload} />}
      {runs && !runs.length && (filtered || after ? <NoneFound clear={() => navigate(href('runs'))} /> : <NoneYet ask={ask} />)}
      {!page.value && !page.error && <p class="muted">Loading …</p>}
      {!!runs?.length && <Table runs={runs} />}
      {(after || page.value?.next) && (
        <nav class="row" aria-label="Pages of runs">
          {after && (
            <button type="button" onClick={() => to({})}>
              Newest
            </button>
          )}
          {page.value?.next && (
            <button type="button" onClick={() => to({ after: page.value!.next! })}>
              Older
            </button>
          )}
        </nav>
      )}
    </>
  );
}

function Filter({ status, topic, change }: { status: string; topic: string; change(query: Record<string, string>): void }) {
  const [typed, setTyped] = useState(topic);
  useEffect(() => setTyped(topic), [topic]);
  return (
    <form class="row" onSubmit={(event) => (event.preventDefault(), change({ topic: typed.trim() }))}>
      <label class="field">
        Status
        <select aria-label="Status" value={status} onChange={(event) => change({ status: event.currentTarget.value })}>
          <option value="">All</option>
          {STATUSES.map((known) => (
            <option key={known} value={known}>
              {statusWords(known)[0]}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        Of topic
        <input value={typed} placeholder="chats/42" autocomplete="off" autocapitalize="off" spellcheck={false} onInput={(event) => setTyped(event.currentTarget.value)} />
      </label>
      <button>Show</button>
      {(status || topic) && (
        <button type="button" onClick={() => change({ status: '', topic: '' })}>
          Show all
        </button>
      )}
    </form>
  );
}

function Table({ runs }: { runs: Run[] }) {
  const now = hubNow();
  return (
    <div class="scroll">
      <table class="runs-table">
        <thead>
          <tr>
            <th scope="col">Model</th>
            <th scope="col">Status</th>
            <th scope="col">Topic</th>
            <th scope="col">Started</th>
            <th scope="col" class="number">
              Took
            </th>
            <th scope="col" class="number">
              Tokens in
            </th>
            <th scope="col" class="number">
              Out
            </th>
            <th scope="col" class="number">
              Viewers
            </th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <Row key={run.run} run={run} now={now} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ run, now }: { run: Run; now: number }) {
  const [words, tone] = statusWords(run.status);
  const counted = run.usage.source !== 'none';
  const took = (run.ended ? Date.parse(run.ended) : now) - Date.parse(run.started);
  return (
    <tr data-status={run.status}>
      <td data-name="model">
        <a href={href('runs', run.run)} class="foreign">
          {oneLine(run.model || run.run)}
        </a>
        <div class="muted foreign">{oneLine(run.provider)}</div>
      </td>
      <td data-name="status">
        <span class="badge" data-tone={tone}>
          {words}
        </span>
      </td>
      <td data-name="topic" class="mono foreign" data-own={run.topic === 'runs/' + run.run}>
        {run.topic === 'runs/' + run.run ? <span class="muted">its own</span> : oneLine(run.topic)}
      </td>
      <td data-name="started" class="runs-time">
        {dateTime(new Date(run.started)).slice(0, 19)}
      </td>
      <td data-name="took" class="number">
        {took >= 0 ? tookWords(took) : ''}
      </td>
      <td data-name="in" class="number">
        {counted ? count(run.usage.input) : '–'}
      </td>
      <td data-name="out" class="number">
        {counted ? count(run.usage.output) : '–'}
      </td>
      <td data-name="viewers" class="number" aria-label={plural(run.viewers, 'viewer')}>
        {run.viewers || '–'}
      </td>
    </tr>
  );
}

function NoneFound({ clear }: { clear(): void }) {
  return (
    <Empty title="No such run">
      <p>No run that you may read matches. Runs are kept for a day, unless the hub is configured otherwise.</p>
      <div class="row">
        <button type="button" onClick={clear}>
          Show all
        </button>
      </div>
    </Empty>
  );
}

function NoneYet({ ask }: { ask: boolean }) {
  return (
    <Empty title="No run yet">
      <p>
        A run is one answer of a language model, kept by the hub as it is written. {ask && 'Begin one in the playground, or'}
        {!ask && 'Begin one'} from a terminal:
      </p>
      <Command>{`curl ${curlToken()}-d '{"provider":"openai","request":{"model":"gpt-5-mini","messages":[{"role":"user","content":"Hi"}]}}' ${HUB}runs`}</Command>
      <p>An app needs one changed line, the base URL of its SDK:</p>
      <Command>{`base_url="${HUB}relay/openai/v1"`}</Command>
    </Empty>
  );
}
