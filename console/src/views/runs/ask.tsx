// The playground: asks a model, and shows the run.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { access } from '../../hub/access';
import { listModels } from '../../hub/runs';
import type { Whoami } from '../../hub/types';
import { oneLine } from '../../text';
import { Refusal } from '../../ui/note';
import { firstModel, modelPatterns } from './ask-request';
import { ask, asking, form, refusal } from './ask-state';

type Provider = NonNullable<Whoami['relay']>['providers'][number];

/** Models offered while one is typed. */
const MOST_MODELS = 200;

export function Ask({ providers }: { providers: Provider[] }) {
  const provider = providers.find(({ name }) => name === form.provider.value) ?? providers[0]!;
  const [more, setMore] = useState(form.system.value !== '' || form.topic.value !== '');
  const prompt = useRef<HTMLTextAreaElement>(null);
  const grants = access.value.state === 'known' ? access.value.who.models : [];
  const patterns = modelPatterns(provider, grants);
  const model = form.models.value[provider.name] ?? firstModel(provider.dialect, patterns);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!form.prompt.value.trim()) return prompt.current?.focus();
    void ask({
      provider: provider.name,
      dialect: provider.dialect,
      model: model.trim(),
      prompt: form.prompt.value,
      system: more ? form.system.value.trim() : '',
      topic: more ? form.topic.value.trim() : '',
    });
  };
  const typed = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event);
  };
  return (
    <section class="ask card" aria-labelledby="ask-title">
      <h2 id="ask-title">Playground</h2>
      <form onSubmit={submit}>
        <div class="ask-pair">
          <label class="field">
            Provider
            <select aria-label="Provider" value={provider.name} onChange={(event) => (form.provider.value = event.currentTarget.value)}>
              {providers.map(({ name }) => (
                <option key={name} value={name}>
                  {oneLine(name)}
                </option>
              ))}
            </select>
          </label>
          <ModelField key={provider.name} provider={provider} value={model} patterns={patterns} />
        </div>
        <label class="field">
          Prompt
          <textarea
            ref={prompt}
            rows={4}
            required
            placeholder="Why is the sky blue?"
            value={form.prompt.value}
            onInput={(event) => (form.prompt.value = event.currentTarget.value)}
            onKeyDown={typed}
          />
        </label>
        {more && (
          <>
            <label class="field">
              Instructions for the model (optional)
              <textarea rows={2} placeholder="Answer in one paragraph." value={form.system.value} onInput={(event) => (form.system.value = event.currentTarget.value)} />
            </label>
            <label class="field">
              Into topic (optional)
              <input
                placeholder="chats/42"
                autocomplete="off"
                autocapitalize="off"
                spellcheck={false}
                value={form.topic.value}
                onInput={(event) => (form.topic.value = event.currentTarget.value)}
              />
            </label>
          </>
        )}
        {refusal.value && <Refusal error={refusal.value} />}
        <div class="row ask-foot">
          <button type="button" class="small" aria-expanded={more} onClick={() => setMore(!more)}>
            {more ? 'Less' : 'More'}
          </button>
          <span class="muted ask-hint">Ctrl + Enter</span>
          <button class="main" disabled={asking.value}>
            Ask
          </button>
        </div>
      </form>
      <p class="muted">The answer is kept by the hub: reload, close the tab, open it elsewhere. It goes on, and nothing of it is lost.</p>
    </section>
  );
}

function ModelField({ provider, value, patterns }: { provider: Provider; value: string; patterns: string[] }) {
  const [models, setModels] = useState<string[]>([]);
  const [wanted, setWanted] = useState(false);
  const id = useId();
  useEffect(() => {
    if (!wanted) return;
    const stop = new AbortController();
    void listModels(provider.name, provider.dialect, stop.signal).then((names) => stop.signal.aborted || setModels(names.slice(0, MOST_MODELS)));
    return () => stop.abort();
  }, [wanted, provider.name]);
  const known = [...new Set([...models, ...patterns.filter((pattern) => !pattern.includes('*'))])];
  const wild = patterns.filter((pattern) => pattern.includes('*'));
  return (
    <label class="field">
      Model
      <input
        required
        list={id}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        value={value}
        // The provider is asked for its models only by who wants to name one.
        onFocus={() => setWanted(true)}
        onInput={(event) => (form.models.value = { ...form.models.value, [provider.name]: event.currentTarget.value })}
      />
      <datalist id={id}>
        {known.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      {wild.length > 0 && <span>Allowed: {wild.map(oneLine).join(', ')}</span>}
    </label>
  );
}
