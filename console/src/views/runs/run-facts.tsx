import { count, dateTime, duration, milliseconds, plural } from '../../format';
import { hubNow } from '../../hub/clock';
import { href } from '../../router';
import { oneLine } from '../../text';
import { tokensPerSecond } from './rate';
import type { RunShown } from './use-run';

const one = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

/** The id before one: where a stream has to start to begin with it. */
export function before(id: string): string {
  const at = id.lastIndexOf('-');
  const seq = /^\d+$/.test(id.slice(at + 1)) ? BigInt(id.slice(at + 1)) : 0n;
  return seq > 0n ? `${id.slice(0, at)}-${seq - 1n}` : id;
}

/** How long a run took. */
export const tookWords = (ms: number): string => (ms < 1000 ? milliseconds(Math.round(ms)) : duration(ms));

export function RunFacts({ shown: { reader, meter, info, stream }, status }: { shown: RunShown; status: string }) {
  const run = info.value;
  const running = status === 'running';
  const took = run && (run.ended ? Date.parse(run.ended) : running ? hubNow() : null);
  return (
    <dl class="run-facts">
      <Fact name={running ? 'Speed' : 'Speed, on average'}>{running ? liveRate(meter.perSecond(performance.now())) : averageRate(run, reader.ending?.output ?? null)}</Fact>
      <Fact name="Tokens">{tokens(reader, run, running)}</Fact>
      <Fact name={running ? 'For' : 'Took'}>{run && took ? tookWords(Math.max(0, took - Date.parse(run.started))) : '–'}</Fact>
      <Fact name="Viewers">{run && running ? viewers(run.viewers, stream.name === 'live') : '–'}</Fact>
      <Fact name="Started">{run ? dateTime(new Date(run.started)).slice(0, 19) : '–'}</Fact>
      <Fact name="Provider">
        <span class="foreign">{oneLine(reader.provider || run?.provider || '–')}</span>
      </Fact>
      <Fact name="Topic">
        {run ? (
          <a class="foreign" href={href('live', '', { topic: run.topic, from: run.first_id ? before(run.first_id) : 'earliest' })}>
            {run.topic === 'runs/' + run.run ? 'its own events' : oneLine(run.topic)}
          </a>
        ) : (
          '–'
        )}
      </Fact>
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** This page is one of them, also before the hub has counted it. */
const viewers = (counted: number, here: boolean): string => (here ? (counted > 1 ? `${count(counted)}, you among them` : 'only you') : count(counted));

/** What arrives while it is written are deltas: how many tokens are in one is the provider's choice. */
const liveRate = (perSecond: number | null) => (perSecond === null ? 'measuring …' : `${one.format(perSecond)} deltas/s`);

function averageRate(run: RunShown['info']['value'], output: number | null): string {
  const rate = run && tokensPerSecond(output, run.started, run.ended);
  return rate === null ? 'not known' : `${one.format(rate)} tokens/s`;
}

function tokens(reader: RunShown['reader'], run: RunShown['info']['value'], running: boolean): string {
  const counted = reader.usage ?? (reader.ending?.output != null ? { input: reader.ending.input ?? 0, output: reader.ending.output } : null);
  const known = counted ?? (run && run.usage.source !== 'none' ? run.usage : null);
  if (known) return `${count(known.input)} in, ${count(known.output)} out`;
  return reader.deltas ? `${running ? 'not counted yet' : 'not counted'}; ${plural(reader.deltas, 'delta')}` : '–';
}
