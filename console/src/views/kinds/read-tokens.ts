// Text of language models: the relay's runs as they stand in the log, with the frames of the four dialects, and plain pieces.
import { type Fields, fields, list, number, text } from './json';
import type { KindEvent, RunEnding, TokenReading, ToolPiece } from './reading';

const NOTHING: TokenReading = { kind: 'tokens', what: 'nothing' };
const piece = (said: string, thinking = '', tools: ToolPiece[] = []): TokenReading =>
  said || thinking || tools.length ? { kind: 'tokens', what: 'piece', text: said, thinking, tools } : NOTHING;

/** The reading of a run's event or of a provider's frame; null when it is neither. */
export function readFrame(event: KindEvent, json: Fields | null): TokenReading | null {
  if (event.event.startsWith('run.')) return json && readRun(event.event, json);
  if (event.data === '[DONE]') return NOTHING;
  if (!json) return null;
  const failure = failed(event.event, json);
  if (failure !== null) return { kind: 'tokens', what: 'end', ending: { status: 'failed', by: null, error: failure, input: null, output: null } };
  return openAiChat(json) ?? openAiResponses(json) ?? anthropic(json) ?? gemini(json) ?? ollama(json);
}

/** The message of a provider's error frame: `{"error":{"message"}}`, perhaps with a type. */
function failed(name: string, json: Fields): string | null {
  const error = fields(json.error);
  const alone = name === 'error' || json.type === 'error' || Object.keys(json).length === 1;
  return error && alone ? text(error.message) : null;
}

function readRun(name: string, json: Fields): TokenReading | null {
  if (name === 'run.started') return { kind: 'tokens', what: 'start', run: text(json.run), model: text(json.model) };
  if (name === 'run.ended') return { kind: 'tokens', what: 'end', ending: ending(json) };
  return NOTHING;
}

/** The data of `run.ended`. */
export function ending(json: Fields): RunEnding {
  const usage = fields(json.usage);
  const counted = usage && text(usage.source) !== 'none';
  return {
    status: text(json.status) ?? 'ended',
    by: text(json.by),
    error: text(fields(json.error)?.message),
    input: counted ? number(usage.input) : null,
    output: counted ? number(usage.output) : null,
  };
}

function openAiChat(json: Fields): TokenReading | null {
  if (!Array.isArray(json.choices)) return null;
  let said = '';
  let thinking = '';
  const tools: ToolPiece[] = [];
  for (const value of json.choices) {
    const choice = fields(value);
    // One text is shown: the first choice.
    if (!choice || (number(choice.index) ?? 0) !== 0) continue;
    const delta = fields(choice.delta);
    if (!delta && text(choice.text) === null) {
      if (json.object !== 'chat.completion.chunk') return null;
      continue;
    }
    said += text(delta?.content) ?? text(choice.text) ?? '';
    thinking += text(delta?.reasoning_content) ?? text(delta?.reasoning) ?? '';
    for (const call of list(delta?.tool_calls)) {
      const its = fields(fields(call)?.function);
      if (its) tools.push({ index: number(fields(call)?.index) ?? 0, name: text(its.name), arguments: text(its.arguments) ?? '' });
    }
  }
  if (!said && !thinking && !tools.length && json.object !== 'chat.completion.chunk' && !json.choices.some((choice) => fields(choice)?.delta)) return null;
  return piece(said, thinking, tools);
}

function openAiResponses(json: Fields): TokenReading | null {
  const type = text(json.type);
  if (!type?.startsWith('response.')) return null;
  const delta = text(json.delta) ?? '';
  const index = number(json.output_index) ?? 0;
  if (type === 'response.output_text.delta' || type === 'response.refusal.delta') return piece(delta);
  if (type === 'response.reasoning_summary_text.delta' || type === 'response.reasoning_text.delta') return piece('', delta);
  if (type === 'response.function_call_arguments.delta') return piece('', '', [{ index, name: null, arguments: delta }]);
  const item = fields(json.item);
  if (type === 'response.output_item.added' && item?.type === 'function_call') return piece('', '', [{ index, name: text(item.name), arguments: '' }]);
  return NOTHING;
}

const ANTHROPIC = new Set(['message_start', 'content_block_start', 'content_block_delta', 'content_block_stop', 'message_delta', 'message_stop', 'ping']);

function anthropic(json: Fields): TokenReading | null {
  const type = text(json.type);
  if (type === null || !ANTHROPIC.has(type)) return null;
  const index = number(json.index) ?? 0;
  const block = fields(json.content_block);
  if (type === 'content_block_start' && block) {
    if (block.type === 'tool_use') return piece('', '', [{ index, name: text(block.name), arguments: '' }]);
    return piece(text(block.text) ?? '', text(block.thinking) ?? '');
  }
  const delta = fields(json.delta);
  if (type !== 'content_block_delta' || !delta) return NOTHING;
  const input = text(delta.partial_json);
  return piece(text(delta.text) ?? '', text(delta.thinking) ?? '', input ? [{ index, name: null, arguments: input }] : []);
}

function gemini(json: Fields): TokenReading | null {
  if (!Array.isArray(json.candidates)) return null;
  let said = '';
  let thinking = '';
  const tools: ToolPiece[] = [];
  for (const value of list(fields(fields(json.candidates[0])?.content)?.parts)) {
    const part = fields(value);
    const call = fields(part?.functionCall);
    if (call) tools.push({ index: tools.length, name: text(call.name), arguments: JSON.stringify(call.args ?? {}) });
    else if (part?.thought === true) thinking += text(part.text) ?? '';
    else said += text(part?.text) ?? '';
  }
  return piece(said, thinking, tools);
}

function ollama(json: Fields): TokenReading | null {
  if (typeof json.done !== 'boolean') return null;
  const message = fields(json.message);
  const whole = text(json.response);
  if (!message && whole === null) return null;
  const tools = list(message?.tool_calls).flatMap((value, index) => {
    const call = fields(fields(value)?.function);
    return call ? [{ index, name: text(call.name), arguments: JSON.stringify(call.arguments ?? {}) }] : [];
  });
  return piece(text(message?.content) ?? whole ?? '', text(message?.thinking) ?? text(json.thinking) ?? '', tools);
}

const PIECE = /^(tokens?|delta|chunk|text_delta|content_delta|completion)$/i;
const THOUGHT = /^(reasoning|thinking|thought|thinking_delta|reasoning_delta)$/i;
const END = /^(done|end|ended|finish|finished|complete|completed|stop|stopped)$/i;
const PERSON = /^(user|prompt|question|human)$/i;
const NAMES = ['token', 'delta', 'text', 'content'] as const;

/** Whether an event of this name is a piece of a text, whatever is in it. */
export const isPieceName = (name: string): boolean => PIECE.test(name) || THOUGHT.test(name);

/** Whether an event of this name ends what was before it. */
export const isEndName = (name: string): boolean => END.test(name);

/** The field of a plain piece, such as `{"token":" and"}`; null when there is none. */
export function pieceField(json: Fields): string | null {
  for (const name of NAMES) if (typeof json[name] === 'string') return json[name];
  const delta = fields(json.delta);
  return delta && (text(delta.text) ?? text(delta.content));
}

/** Whether an object is a plain piece and hardly anything else. */
export function isPiece(json: Fields): boolean {
  if (pieceField(json) === null) return false;
  if (typeof json.token === 'string' || typeof json.delta === 'string') return true;
  // `{"text":…}` with many fields, or with those of a message to people, is something else.
  return Object.keys(json).every((name) => /^(token|delta|text|content|index|i|n|seq|choice|block|id|role|model|done|finish_reason|key)$/.test(name));
}

/** The event as a piece of a text. */
export function asTokens(event: KindEvent, json: Fields | null): TokenReading {
  const said = json ? (pieceField(json) ?? '') : event.data;
  if (PERSON.test(event.event) || json?.role === 'user') return { kind: 'tokens', what: 'said', who: 'You', text: said };
  if (isEndName(event.event)) {
    const status = text(json?.status) ?? (/^stop/.test(event.event) ? 'stopped' : 'completed');
    return { kind: 'tokens', what: 'end', ending: { status, by: null, error: text(json?.error), input: null, output: null } };
  }
  if (THOUGHT.test(event.event)) return piece('', json ? said : event.data);
  return piece(json && !said && pieceField(json) === null ? event.data : said);
}
