import { describe, expect, it } from 'vitest';
import { type Item, type Situation, attention, connection } from './attention';
import { stats } from './sample-stats';

const calm: Situation = { now: stats(), before: { stats: stats(), seconds: 60 }, minute: { cut: 0, commit: null }, restarted: false, why: null };
const told = (changed: Partial<Situation>) => attention({ ...calm, ...changed }).map(({ tone, text, link }) => [tone, text, link.anchor]);
const GIB = 1024 ** 3;

it('says nothing of a hub in order, also to a page that has just come', () => {
  expect(told({})).toEqual([]);
  expect(told({ before: null })).toEqual([]);
});

describe('the hub takes no publishes', () => {
  it('says why', () => {
    const why = { code: 'storage-full', detail: 'The disk is nearly full.' };
    expect(told({ now: stats({ ready: false }), why })).toEqual([['bad', 'Publishes are refused: The disk is nearly full.', 'storage-full']]);
    expect(told({ now: stats({ ready: false }) })).toEqual([['bad', 'Publishes are refused.', 'health']]);
  });
  it('says that it stops, and not twice', () => {
    const now = stats({ ready: false, draining: true, refused_total: { draining: 9 } });
    expect(told({ now, why: { code: 'draining', detail: 'x' } })).toEqual([
      ['bad', 'The hub is stopping: streams are told to come back, new requests are refused.', 'stopping'],
    ]);
  });
  it('does not repeat it by the refusals that follow from it', () => {
    const now = stats({ ready: false, refused_total: { 'storage-full': 500 } });
    expect(told({ now, why: { code: 'storage-full', detail: 'The disk is nearly full' } })).toHaveLength(1);
  });
});

describe('the disk', () => {
  const left = (free: number, total: number | null) => told({ now: stats({ store: { disk_free_bytes: free, disk_total_bytes: total } }) });
  it('is told when little is left', () => {
    expect(left(4 * GIB, 100 * GIB)).toEqual([['bad', 'Disk: 4 % left, 4 GiB of 100 GiB.', 'storage-full']]);
    expect(left(9.99 * GIB, 100 * GIB)).toEqual([['warn', 'Disk: 9.9 % left, 9.99 GiB of 100 GiB.', 'disk']]);
    expect(left(10 * GIB, 100 * GIB)).toEqual([]);
  });
  it('is told by what is left when its size is not known, and not at all when nothing is', () => {
    expect(left(GIB / 8, null)).toEqual([['bad', 'Disk: 128 MiB left.', 'storage-full']]);
    expect(left(GIB, null)).toEqual([]);
    expect(told({ now: stats({ store: { disk_free_bytes: null, disk_total_bytes: null } }) })).toEqual([]);
  });
});

describe('losses', () => {
  it('are worse when they are new', () => {
    const now = stats({ store: { losses: 2 } });
    expect(told({ now })).toEqual([['bad', '2 parts of the store were found damaged in the last minute.', 'damage']]);
    expect(told({ now, before: { stats: now, seconds: 60 } })).toEqual([['warn', '2 parts of the store were damaged since it was made; the rest works.', 'damage']]);
  });
  it('are told by the gaps of readers, too', () => {
    const now = stats({ gaps_total: { lost: 3 } });
    expect(told({ now })).toEqual([['bad', 'Readers were told 3 gaps of events that the disk has lost, in the last minute.', 'damage']]);
    expect(told({ now, before: null })).toEqual([['warn', 'Readers were told 3 gaps of events that the disk has lost, since the start.', 'damage']]);
    expect(told({ now: stats({ gaps_total: { trimmed: 50, unknown: 9 } }) })).toEqual([]);
  });
});

describe('clients', () => {
  it('come near the limit of connections', () => {
    expect(told({ now: stats({ connections: 800 }) })[0]).toEqual(
      ['warn', 'Connections: 800 of 1,000 are in use. Beyond that clients are told to come back later.', 'file-descriptors']);
    expect(told({ now: stats({ connections: 990 }) })[0]![0]).toBe('bad');
    expect(told({ now: stats({ connections: 799 }) })).toEqual([]);
  });
  it('are cut when they do not read: seen here, or before this page came', () => {
    const now = stats({ slow_readers_cut_total: 3 });
    expect(told({ now })).toEqual([['warn', '3 readers cut in the last minute, because they took no bytes. They resume without loss.', 'what-gives-way-first']]);
    expect(told({ now, before: { stats: stats(), seconds: 20 } })[0]![1]).toContain('3 readers cut in the last 20 s');
    expect(told({ now, before: null, minute: { cut: 1, commit: null } })[0]![1]).toContain('1 reader cut in the last minute');
    expect(told({ now, before: { stats: now, seconds: 60 } })).toEqual([]);
  });
  it('lag when it lasts', () => {
    const now = stats({ subscriptions: { lagged: 1 } });
    expect(told({ now })).toEqual([]);
    expect(told({ now, before: { stats: stats({ subscriptions: { lagged: 4 } }), seconds: 60 } })).toEqual([
      ['warn', '1 stream is too slow for live delivery: the hub reads the disk for it.', 'what-gives-way-first'],
    ]);
  });
});

describe('refusals', () => {
  const before = { stats: stats({ refused_total: { 'not-found': 5, 'rate-limited': 100 }, quota_refused_total: { address_events: 7 } }), seconds: 60 };
  it('are told when they rise, most first, with the limits that were met', () => {
    const now = stats({ refused_total: { 'not-found': 15, 'rate-limited': 200, 'over-capacity': 1 }, quota_refused_total: { address_events: 90, holder_bytes: 20 } });
    expect(told({ now, before })).toEqual([
      ['warn', '100 requests were refused in the last minute: rate-limited (address_events, holder_bytes).', 'limits-by-address-and-holder'],
      ['warn', '10 requests were refused in the last minute: not-found.', 'not-found'],
      ['warn', '1 request was refused in the last minute: over-capacity.', 'what-gives-way-first'],
    ]);
  });
  it('of a few clients are no matter', () => {
    expect(told({ now: stats({ refused_total: { 'not-found': 14, 'rate-limited': 109 } }), before })).toEqual([]);
    expect(told({ now: stats({ refused_total: { unauthorized: 500 } }), before: null })).toEqual([]);
  });
  it('of providers are told by their status', () => {
    const provider = (refused_total: Record<string, number>) => ({ runs_total: {}, refused_total, input_tokens_total: 0, output_tokens_total: 0 });
    const now = stats({ relay: { providers: { openai: provider({ '429': 3, '401': 1 }) } } });
    expect(told({ now, before: { stats: stats({ relay: { providers: { openai: provider({ '401': 1 }) } } }), seconds: 60 } })).toEqual([
      ['warn', 'The provider openai refused 3 requests in the last minute: status 429.', 'relay'],
    ]);
  });
});

it('tells slow commits, when they are slow for this disk and slow for people', () => {
  const commit = (now: number, usual: number) => told({ minute: { cut: 0, commit: { now, usual } } });
  expect(commit(400, 20)).toEqual([['warn', 'Commits are slow: one in a hundred takes 400 ms, usually 20 ms. The disk may be busy.', 'what-gives-way-first']]);
  expect(commit(90, 2)).toEqual([]);
  expect(commit(400, 100)).toEqual([]);
});

it('tells of the clock, the log, removed events, credentials and a restart', () => {
  expect(told({ now: stats({ store: { clock_ahead_s: 7200 } }) })).toEqual([['warn', "Events are stamped 2 h ahead of the machine's clock, which was set back.", 'clocks']]);
  expect(told({ now: stats({ store: { clock_leapt_s: 3 } }) })[0]!.slice(0, 2)).toEqual(['info', "The machine's clock leapt ahead by 3 s; no age counts that."]);
  expect(told({ now: stats({ log_lines_dropped_total: 12 }) })[0]!.slice(1)).toEqual(['12 log lines were dropped in the last minute: whatever reads the log is too slow.', 'the-log']);
  const removed = stats({ store: { unscrubbed: 1 } });
  expect(told({ now: removed })).toEqual([]);
  expect(told({ now: removed, before: { stats: removed, seconds: 60 } })[0]!.slice(1)).toEqual(['Bytes of removed events are still on the disk, in 1 segment.', 'removing-an-event']);
  expect(told({ now: stats({ lapsed_total: 10 }) })[0]!.slice(1)).toEqual(['10 streams ended in the last minute because the credential is no longer valid.', 'revoking']);
  expect(told({ now: stats({ uptime_s: 12.7 }), restarted: true })[0]!.slice(1)).toEqual(['The hub was started again 12 s ago; its totals begin anew, the events are there.', 'the-log']);
  expect(told({ restarted: true })).toEqual([]);
});

it('has the worst on top', () => {
  const now = stats({ store: { clock_leapt_s: 3, losses: 1, disk_free_bytes: 9 * GIB }, log_lines_dropped_total: 3 });
  expect(attention({ ...calm, now }).map(({ tone }: Item) => tone)).toEqual(['bad', 'warn', 'warn', 'info']);
});

describe("the page's own connection", () => {
  const waiting = { name: 'waiting', at: 0, reason: 'the hub cannot be reached' } as const;
  it('is told when figures are missing', () => {
    expect(connection({ name: 'live' }, 3999)).toBeNull();
    expect(connection({ name: 'live' }, 12_400)?.text).toBe('No figures since 12 s.');
    expect(connection(waiting, 12_400)?.text).toBe('No figures since 12 s: the hub cannot be reached.');
    expect(connection({ name: 'connecting' }, 12_400)?.text).toBe('No figures since 12 s.');
  });
  it('is told when there never were any, after the first attempt', () => {
    expect(connection({ name: 'connecting' }, null)).toBeNull();
    expect(connection(waiting, null)?.text).toBe('No figures yet: the hub cannot be reached.');
  });
  it('is not told where a refusal is shown', () => {
    expect(connection({ name: 'closed' }, 99_000)).toBeNull();
  });
});
