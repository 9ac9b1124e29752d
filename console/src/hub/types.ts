// The JSON of the protocol, as docs/PROTOCOL.md, docs/OPERATIONS.md and docs/RELAY.md describe it.

/** An event as an envelope: `format=json`, pages. */
export interface Envelope {
  topic: string;
  id: string;
  time: string;
  event: string;
  data: string;
}

export interface Gap {
  topic?: string;
  after: string | null;
  resumes_at: string | null;
  reason: 'trimmed' | 'lost' | 'unknown' | 'ahead';
}

export interface End {
  topic: string;
  reason: 'closed' | 'deleted';
  last_id: string | null;
}

export interface EventsPage {
  events: Envelope[];
  next: string;
  gaps: Gap[];
  closed: boolean;
  /** With `before`: the `before` of the next older page. */
  previous?: string | null;
}

export interface Receipt {
  topic: string;
  id: string;
  time: string;
  subscribers: number;
}

export interface Retention {
  max_events: number | null;
  max_age: string | null;
  max_bytes: number | null;
}

export interface Topic {
  topic: string;
  first_id: string | null;
  last_id: string | null;
  events: number;
  bytes: number;
  subscribers: number;
  closed: boolean;
  retention: Retention;
  retry: number | null;
}

export interface TopicsPage {
  topics: Topic[];
  next: string | null;
}

export interface Whoami {
  version: string;
  authentication: 'open' | 'anonymous' | 'token' | 'jwt';
  holder: string | null;
  expires: string | null;
  publish: string[];
  subscribe: string[];
  models: string[];
  admin: boolean;
  operators_here: boolean;
  relay: { providers: { name: string; dialect: string; models: string[] }[] } | null;
}

export interface Stats {
  version: string;
  engine: string;
  epoch: string;
  last_id: string;
  uptime_s: number;
  ready: boolean;
  draining: boolean;
  connections: number;
  connections_limit: number;
  connections_total: number;
  subscribers: number;
  subscriptions: { live: number; replaying: number; lagged: number };
  resumed_total: number;
  topics: number;
  events: { in_total: number; out_total: number; replayed_total: number; removed_total: number; in_per_s: number; out_per_s: number };
  bytes: { in_total: number; out_total: number; in_per_s: number; out_per_s: number };
  publish_bytes: number;
  store: {
    events: number;
    bytes: number;
    disk_bytes: number;
    disk_free_bytes: number | null;
    disk_total_bytes: number | null;
    queued_bytes: number;
    commits_total: number;
    commit_ms: { p50: number; p99: number };
    pages_read_total: number;
    losses: number;
    unscrubbed: number;
    clock_ahead_s: number;
    clock_leapt_s: number;
  };
  gaps_total: { trimmed: number; lost: number; unknown: number; ahead: number };
  slow_readers_cut_total: number;
  lapsed_total: number;
  log_lines_dropped_total: number;
  refused_total: Record<string, number>;
  quota_refused_total: Record<string, number>;
  addresses: number;
  holders_known: number;
  holders: { holder: string; streams: number; events_total: number; bytes_total: number; refused_total: number }[];
  relay: {
    running: number;
    viewers: number;
    joined_total: number;
    first_added_ms: { p50: number; p99: number };
    added_ms: { p50: number; p99: number };
    providers: Record<string, { runs_total: Record<string, number>; refused_total: Record<string, number>; input_tokens_total: number; output_tokens_total: number }>;
  };
  top_topics: { topic: string; events_per_s: number; bytes_per_s: number; subscribers: number }[];
  top_topics_by_subscribers: { topic: string; subscribers: number }[];
}

/** Columns of equal length, oldest first. */
export interface StatsHistory {
  interval_s: number;
  time: number[];
  events_in: number[];
  events_out: number[];
  bytes_in: number[];
  bytes_out: number[];
  live: number[];
  replaying: number[];
  lagged: number[];
  commit_ms_p99: (number | null)[];
  refused: number[];
  gaps: number[];
  cut: number[];
  disk_free_bytes: (number | null)[];
}

export interface OpenStream {
  id: string;
  request_id: string;
  address: string;
  holder: string | null;
  topics: string[];
  topics_total: number;
  format:
    | 'sse'
    | 'sse-json'
    | 'sse-message'
    | 'sse-cloudevents'
    | 'ndjson'
    | 'ndjson-cloudevents'
    | 'mercure'
    | 'relay';
  state: 'live' | 'replaying' | 'lagged';
  since: string;
  /** Null until it has heard that the log was replaced by another one. */
  cursor: string | null;
  /** Null when the hub does not have them all in memory. */
  behind_events: number | null;
  sent_events: number;
  sent_bytes: number;
}

export interface StreamsPage {
  streams: OpenStream[];
  next: string | null;
  total: number;
}

export type RunStatus = 'running' | 'completed' | 'stopped' | 'abandoned' | 'failed' | 'truncated' | 'timed_out' | 'interrupted';

export interface RunUsage {
  input: number;
  output: number;
  source: 'upstream' | 'partial' | 'none';
}

export interface Run {
  run: string;
  topic: string;
  provider: string;
  model: string;
  status: RunStatus;
  started: string;
  ended: string | null;
  usage: RunUsage;
  finish_reason: string | null;
  error: { code: string; message: string; status?: number } | null;
  by?: string;
  first_id: string | null;
  last_id: string | null;
  viewers: number;
}
