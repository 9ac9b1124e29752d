// Which provider and model answer, and the hub's token. The address overrides what was chosen before:
// ?provider=lab&dialect=openai&model=qwen3

const MODELS = { openai: 'gpt-5-mini', anthropic: 'claude-sonnet-4-5', gemini: 'gemini-2.5-flash', ollama: 'llama3.2' };
// Most tokens of an answer, which Anthropic wants to be told.
const MAX_TOKENS = 8192;
// The console's name for it: what the token opens is the same.
const TOKEN = 'gapless.token', CHOICE = 'chat.choice';

export const settings = { provider: 'openai', dialect: 'openai', model: '', token: '' };

/** The bodies of a request for an answer, by the provider's format. A message is {role: 'user' | 'assistant', text}. */
const REQUESTS = {
  openai: (model, messages) => ({ model, messages: plain(messages), stream_options: { include_usage: true } }),
  anthropic: (model, messages) => ({ model, messages: plain(messages), max_tokens: MAX_TOKENS }),
  ollama: (model, messages) => ({ model, messages: plain(messages) }),
  gemini: (_, messages) => ({
    contents: messages.map(({ role, text }) => ({ role: role === 'user' ? role : 'model', parts: [{ text }] })),
  }),
};

const plain = messages => messages.map(({ role, text }) => ({ role, content: text }));

/** The body of POST /runs. */
export function runRequest(topic, messages) {
  const { provider, dialect, model } = settings;
  const run = { provider, topic, request: REQUESTS[dialect](model, messages) };
  return dialect === 'gemini' ? { ...run, path: `/v1beta/models/${model}:streamGenerateContent` } : run;
}

export const authorization = () => settings.token ? { Authorization: 'Bearer ' + settings.token } : {};

/** Fills the form, and calls `changed` when it is sent. */
export function bindForm(form, changed) {
  const wish = new URLSearchParams(location.search);
  const kept = JSON.parse(read(localStorage, CHOICE) ?? '{}');
  const asked = name => wish.get(name) ?? (wish.has('provider') ? undefined : kept[name]);
  settings.provider = asked('provider') || 'openai';
  const dialect = asked('dialect') || settings.provider;
  settings.dialect = dialect in REQUESTS ? dialect : 'openai';
  settings.model = asked('model') || MODELS[settings.dialect];
  settings.token = read(sessionStorage, TOKEN) ?? '';
  const show = () => Object.keys(settings).forEach(name => { form.elements[name].value = settings[name]; });
  show();
  form.elements.dialect.onchange = () => {
    const models = Object.values(MODELS), { dialect, model } = form.elements;
    if (!model.value || models.includes(model.value)) model.value = MODELS[dialect.value];
  };
  form.onsubmit = event => {
    event.preventDefault();
    Object.keys(settings).forEach(name => { settings[name] = form.elements[name].value.trim(); });
    const { token, ...choice } = settings;
    keep(localStorage, CHOICE, JSON.stringify(choice));
    keep(sessionStorage, TOKEN, token);
    show();
    changed();
  };
}

// A browser may refuse storage: then the choice is kept until a reload.
function read(storage, key) {
  try {
    return storage.getItem(key);
  } catch {
    return null;
  }
}

function keep(storage, key, value) {
  try {
    value ? storage.setItem(key, value) : storage.removeItem(key);
  } catch { /* As above. */ }
}
