// What needs attention, in words: the figures of now, compared with those of a minute ago.
import { brief, bytes, count, duration, milliseconds, plural } from '../../format';
import type { StreamState } from '../../hub/stream';
import type { Stats } from '../../hub/types';
import { HELP, type Help, helpForCode } from './help';
import type { Minute } from './series';

export interface Item {
  tone: 'bad' | 'warn' | 'info';
  text: string;
  link: Help;
}

export interface Situation {
  now: Stats;
  /** Of the same process, a minute ago or as long as this page knows. Null: it has just come. */
  before: { stats: Stats; seconds: number } | null;
  minute: Minute;
  /** This page has seen an earlier process. */
  restarted: boolean;
  /** The problem that a publish would get now, when the hub is not ready. */
  why: { code: string; detail: string } | null;
}

/** A restart is told for so long, in seconds. */
const RESTART = 120;
/** Shares of the disk that are left. */
const DISK = { low: 0.1, scarce: 0.05 };
/** Where the disk's size is not known: twice the default of `store.reserve_bytes`, below which publishes are refused. */
const DISK_BYTES = 256 * 1024 * 1024;
/** Shares of the connections that are served at most. */
const CONNECTIONS = { near: 0.8, full: 0.97 };
/** A commit's 99th percentile is reported when it is so many times the usual one, and not short: people notice 100 ms. */
const COMMIT = { times: 5, atLeastMs: 100 };
/** Refusals of these are the hub's or its operator's business; each counts. */
const OURS = new Set(['over-capacity', 'store-unavailable', 'storage-full', 'keys-unavailable', 'host-unknown', 'upstream-unreachable',
  'upstream-failed', 'upstream-timeout']);
/** So many of the others within a minute are more than a client's slip. */
const MANY = 10;

const RANK = { bad: 0, warn: 1, info: 2 };

/** The worst first; empty when nothing needs attention. */
export function attention(situation: Situation): Item[] {
  const items = [...readiness(situation), ...disk(situation), ...losses(situation), ...clients(situation), ...refusals(situation),
    ...commits(situation), ...clock(situation), ...housekeeping(situation)];
  return items.sort((one, other) => RANK[one.tone] - RANK[other.tone]);
}

/** "in the last minute", or as long as is known. */
const lately = (seconds: number) => (seconds >= 55 ? 'in the last minute' : `in the last ${duration(Math.max(1, Math.round(seconds)) * 1000)}`);

const were = (value: number, one: string, many?: string) => `${plural(value, one, many)} ${value === 1 ? 'was' : 'were'}`;
const are = (value: number, one: string, many?: string) => `${plural(value, one, many)} ${value === 1 ? 'is' : 'are'}`;

function readiness({ now, why, restarted }: Situation): Item[] {
  if (now.draining) return [{ tone: 'bad', text: 'The hub is stopping: streams are told to come back, new requests are refused.', link: HELP.stopping }];
  if (now.ready) {
    if (!restarted || now.uptime_s > RESTART) return [];
    return [{ tone: 'info', text: `The hub was started again ${duration(Math.floor(now.uptime_s) * 1000)} ago; its totals begin anew, the events are there.`, link: HELP.log }];
  }
  const reason = why ? `: ${why.detail.replace(/\.$/, '')}` : '';
  return [{ tone: 'bad', text: `Publishes are refused${reason}.`, link: why ? helpForCode(why.code) : HELP.health }];
}

function disk({ now }: Situation): Item[] {
  const { disk_free_bytes: free, disk_total_bytes: total } = now.store;
  if (free === null || free === undefined) return [];
  const share = total ? free / total : null;
  const percent = share === null ? bytes(free) : `${brief(Math.floor(share * 1000) / 10)} %`;
  const text = `Disk: ${percent} left${share === null ? '' : `, ${bytes(free)} of ${bytes(total!)}`}.`;
  if (free < DISK_BYTES || (share !== null && share < DISK.scarce)) return [{ tone: 'bad', text, link: HELP.storageFull }];
  return share !== null && share < DISK.low ? [{ tone: 'warn', text, link: HELP.disk }] : [];
}

function losses({ now, before }: Situation): Item[] {
  const items: Item[] = [];
  const { losses: parts } = now.store;
  if (parts > 0) {
    const more = before ? parts - before.stats.store.losses : 0;
    const text = more > 0 ? `${were(more, 'part of the store', 'parts of the store')} found damaged ${lately(before!.seconds)}.`
      : `${were(parts, 'part of the store', 'parts of the store')} damaged since it was made; the rest works.`;
    items.push({ tone: more > 0 ? 'bad' : 'warn', text, link: HELP.damage });
  }
  const { lost } = now.gaps_total;
  if (lost > 0) {
    const more = before ? lost - before.stats.gaps_total.lost : 0;
    const when = more > 0 ? lately(before!.seconds) : 'since the start';
    items.push({
      tone: more > 0 ? 'bad' : 'warn',
      text: `Readers were told ${plural(more > 0 ? more : lost, 'gap')} of events that the disk has lost, ${when}.`,
      link: HELP.damage,
    });
  }
  return items;
}

function clients({ now, before, minute }: Situation): Item[] {
  const items: Item[] = [];
  const share = now.connections_limit ? now.connections / now.connections_limit : 0;
  if (share >= CONNECTIONS.near) {
    items.push({
      tone: share >= CONNECTIONS.full ? 'bad' : 'warn',
      text: `Connections: ${count(now.connections)} of ${count(now.connections_limit)} are in use. Beyond that clients are told to come back later.`,
      link: HELP.descriptors,
    });
  }
  const cutHere = before ? now.slow_readers_cut_total - before.stats.slow_readers_cut_total : 0;
  // The hub's history knows of the minute before this page came.
  const cut = Math.max(cutHere, minute.cut);
  if (cut > 0) {
    const when = cut > cutHere ? 'in the last minute' : lately(before!.seconds);
    items.push({ tone: 'warn', text: `${plural(cut, 'reader')} cut ${when}, because they took no bytes. They resume without loss.`, link: HELP.firstLimits });
  }
  const { lagged } = now.subscriptions;
  // A moment's lag is ordinary.
  if (lagged > 0 && before && before.stats.subscriptions.lagged > 0) {
    items.push({ tone: 'warn', text: `${are(lagged, 'stream')} too slow for live delivery: the hub reads the disk for ${lagged === 1 ? 'it' : 'them'}.`, link: HELP.firstLimits });
  }
  const lapsed = before ? now.lapsed_total - before.stats.lapsed_total : 0;
  if (lapsed >= MANY) {
    items.push({ tone: 'info', text: `${plural(lapsed, 'stream')} ended ${lately(before!.seconds)} because the credential is no longer valid.`, link: HELP.revoking });
  }
  return items;
}

function refusals({ now, before }: Situation): Item[] {
  if (!before) return [];
  const items: Item[] = [];
  const when = lately(before.seconds);
  for (const [code, more] of risen(before.stats.refused_total, now.refused_total)) {
    // Which is said by itself.
    if (code === 'draining' || (!now.ready && code.startsWith('stor'))) continue;
    const ours = OURS.has(code);
    if (!ours && more < MANY) continue;
    const limits = code === 'rate-limited' ? risen(before.stats.quota_refused_total, now.quota_refused_total).map(([limit]) => limit) : [];
    const met = limits.length ? ` (${limits.join(', ')})` : '';
    items.push({ tone: 'warn', text: `${were(more, 'request')} refused ${when}: ${code}${met}.`, link: helpForCode(code) });
  }
  for (const [provider, { refused_total }] of Object.entries(now.relay.providers)) {
    const more = risen(before.stats.relay.providers[provider]?.refused_total ?? {}, refused_total);
    const total = more.reduce((all, [, each]) => all + each, 0);
    if (total) items.push({ tone: 'warn', text: `The provider ${provider} refused ${plural(total, 'request')} ${when}: status ${more.map(([status]) => status).join(', ')}.`, link: HELP.relay });
  }
  return items;
}

/** The counters that have risen, and by how much, most first. */
const risen = (before: Record<string, number>, now: Record<string, number>): [string, number][] =>
  Object.entries(now)
    .map(([name, value]): [string, number] => [name, value - (before[name] ?? 0)])
    .filter(([, more]) => more > 0)
    .sort(([, one], [, other]) => other - one);

function commits({ minute: { commit } }: Situation): Item[] {
  if (!commit || commit.now < COMMIT.atLeastMs || commit.now < COMMIT.times * commit.usual) return [];
  return [{ tone: 'warn', text: `Commits are slow: one in a hundred takes ${milliseconds(commit.now)}, usually ${milliseconds(commit.usual)}. The disk may be busy.`, link: HELP.firstLimits }];
}

function clock({ now: { store } }: Situation): Item[] {
  const items: Item[] = [];
  if (store.clock_ahead_s > 0) items.push({ tone: 'warn', text: `Events are stamped ${duration(store.clock_ahead_s * 1000)} ahead of the machine's clock, which was set back.`, link: HELP.clocks });
  if (store.clock_leapt_s > 0) items.push({ tone: 'info', text: `The machine's clock leapt ahead by ${duration(store.clock_leapt_s * 1000)}; no age counts that.`, link: HELP.clocks });
  return items;
}

function housekeeping({ now, before }: Situation): Item[] {
  if (!before) return [];
  const items: Item[] = [];
  const dropped = now.log_lines_dropped_total - before.stats.log_lines_dropped_total;
  if (dropped > 0) items.push({ tone: 'warn', text: `${were(dropped, 'log line')} dropped ${lately(before.seconds)}: whatever reads the log is too slow.`, link: HELP.log });
  if (now.store.unscrubbed > 0 && before.stats.store.unscrubbed > 0 && before.seconds >= 55) {
    items.push({ tone: 'warn', text: `Bytes of removed events are still on the disk, in ${plural(now.store.unscrubbed, 'segment')}.`, link: HELP.removal });
  }
  return items;
}

/** Silence that is ordinary, in milliseconds: figures come once a second, and a busy machine is late. */
const PATIENT = 4000;

/** What is wrong with this page's own connection. `silentMs`: since the newest figures; null when there were none. */
export function connection(state: StreamState, silentMs: number | null): Item | null {
  if (state.name === 'refused' || state.name === 'closed') return null;
  if (silentMs === null && state.name !== 'waiting') return null;
  if (silentMs !== null && silentMs < PATIENT) return null;
  const since = silentMs === null ? 'No figures yet' : `No figures since ${duration(Math.floor(silentMs / 1000) * 1000)}`;
  const reason = state.name === 'waiting' ? `: ${state.reason}` : state.name === 'ended' ? ': the hub says that nothing will follow' : '';
  return { tone: 'bad', text: `${since}${reason}.`, link: HELP.health };
}
