// What one event means to a display. An event is read by itself; only what is ambiguous depends on its topic.

export const KINDS = ['tokens', 'progress', 'log', 'notification', 'media', 'text'] as const;
export type Kind = (typeof KINDS)[number];

/** Names of the kinds, as the page shows them. */
export const KIND_NAMES: Record<Kind, string> = {
  tokens: 'Tokens',
  progress: 'Progress',
  log: 'Log',
  notification: 'Notification',
  media: 'Media',
  text: 'Text',
};

/** What the displays need of an event; `LiveEvent` has it. */
export interface KindEvent {
  topic: string;
  id: string;
  /** RFC 3339. */
  time: string;
  event: string;
  data: string;
  replayed: boolean;
}

export interface RunEnding {
  status: string;
  by: string | null;
  error: string | null;
  input: number | null;
  output: number | null;
}

export type TokenReading =
  | { kind: 'tokens'; what: 'start'; run: string | null; model: string | null }
  | { kind: 'tokens'; what: 'piece'; text: string; thinking: string; tools: ToolPiece[] }
  | { kind: 'tokens'; what: 'said'; who: string; text: string }
  | { kind: 'tokens'; what: 'end'; ending: RunEnding }
  /** A frame without text: a ping, a count. */
  | { kind: 'tokens'; what: 'nothing' };

export interface ToolPiece {
  index: number;
  name: string | null;
  arguments: string;
}

export interface ProgressReading {
  kind: 'progress';
  /** Which bar of the topic. */
  bar: string;
  label: string;
  done: number;
  /** Null when it is not known: then `done` is a count. */
  total: number | null;
  unit: string;
  /** The number was a fraction of 1; or it was 1, which is all of it after fractions, and else 1 %. */
  scale?: 'fraction' | 'one';
}

export const LEVELS = ['trace', 'debug', 'info', 'notice', 'warn', 'error', 'fatal'] as const;
export type Level = (typeof LEVELS)[number];

export interface LogReading {
  kind: 'log';
  level: Level | null;
  message: string;
  /** Other fields of the line, as `name=value`. */
  fields: string;
}

export interface NotificationReading {
  kind: 'notification';
  title: string;
  message: string;
  /** 1 to 5, as ntfy's; 3 is usual. */
  priority: number;
  tags: string[];
  /** An http or https address. */
  click: string | null;
}

export interface MediaReading {
  kind: 'media';
  mime: string;
  /** Base64 without spaces; null when it is not shown, for the reason in `refused`. */
  base64: string | null;
  refused: string | null;
  caption: string;
}

export interface TextReading {
  kind: 'text';
}

export type Reading = TokenReading | ProgressReading | LogReading | NotificationReading | MediaReading | TextReading;
