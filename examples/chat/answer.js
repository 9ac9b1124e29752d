// One run of the hub: what it has said so far, as it comes, and how it ended.
import { events, Refused } from './events.js';
import { MarkdownView } from './markdown.js';
import { authorization } from './settings.js';

const HUB = new URL('../', document.baseURI).href;

const ENDINGS = {
  stopped: 'Stopped', abandoned: 'Stopped, because nobody was watching', failed: 'Failed', truncated: 'Cut off',
  timed_out: 'Timed out', interrupted: 'Interrupted',
};

export function element(tag, kind, ...content) {
  const made = document.createElement(tag);
  made.className = kind;
  made.append(...content);
  return made;
}

export class Answer {
  /** 'waiting' until it is read, 'running', or an ending. */
  status = 'waiting';
  text = '';
  #thoughts = '';
  #calls = new Map();
  #usage = null;
  #drawing = false;
  #dots = element('span', 'writing');
  #body = element('div', 'text');
  #thinking = element('details', 'thinking', element('summary', '', 'Thinking'), element('div', ''));
  #footer = element('footer', 'ending');
  #view = new MarkdownView(this.#body);

  constructor({ run, model }, { changed, retry }) {
    Object.assign(this, { run, model, changed, retry });
    this.#thinking.hidden = this.#footer.hidden = true;
    this.#dots.title = 'The answer is being written';
    this.element = element('article', 'answer', element('h2', '', 'Answer'), this.#thinking, this.#body, this.#dots, this.#footer);
    this.element.dataset.run = run;
  }

  /** Reads the run from its start, whether it runs or has ended: one path for a live answer, a reload and a second tab. */
  async read() {
    const url = `${HUB}runs/${this.run}/events?format=events&batch_ms=40`;
    try {
      const done = ({ event }) => event === 'run.ended';
      for await (const { event, data } of events(url, { headers: authorization(), done })) this.#take(event, JSON.parse(data || '{}'));
      if (!this.ended) this.#end({ status: 'interrupted' });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const gone = error.status === 404 ? 'This answer is not kept any more' : `This answer cannot be read: ${error.message}`;
      this.#end({ status: 'gone', error: { message: gone } });
    }
  }

  get ended() {
    return !['waiting', 'running'].includes(this.status);
  }

  #take(event, data) {
    switch (event) {
      case 'run.started':
        this.status = 'running';
        this.changed();
        break;
      case 'delta':
        // One request asks for one choice.
        if (data.choice === 0) this.text += data.text;
        break;
      case 'reasoning':
        this.#thoughts += data.text;
        break;
      case 'tool': {
        const call = this.#calls.get(data.index) ?? { name: '', text: '', element: element('div', 'call') };
        if (!this.#calls.has(data.index)) this.#dots.before(call.element);
        call.name = data.name ?? call.name;
        call.text += data.arguments;
        this.#calls.set(data.index, call);
        break;
      }
      case 'image': case 'audio': {
        const media = element(event === 'image' ? 'img' : 'audio', 'media');
        Object.assign(media, { src: `data:${data.mime};base64,${data.data}`, controls: true, alt: 'An image of the answer' });
        this.#dots.before(media);
        break;
      }
      case 'hub.gap':
        this.#footer.before(element('p', 'gone', 'A part of this answer is gone.'));
        break;
      case 'run.ended':
        this.#end(data);
        return;
      default: // What a newer hub adds.
        return;
    }
    this.#draw();
  }

  // At most once a frame, however fast the deltas come.
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#show();
      this.changed();
    });
  }

  #show() {
    this.#view.show(this.text, this.ended);
    if (this.#thoughts) {
      this.#thinking.hidden = false;
      this.#thinking.firstChild.textContent = this.text || this.ended ? 'Thoughts' : 'Thinking …';
      const shown = this.#thinking.lastChild;
      shown.firstChild ? shown.firstChild.appendData(this.#thoughts.slice(shown.firstChild.length)) : shown.append(this.#thoughts);
    }
    for (const { name, text, element } of this.#calls.values()) element.textContent = `${name}(${text})`;
  }

  #end({ status, by, usage, error }) {
    this.status = status;
    this.#usage = usage;
    this.#dots.remove();
    this.#show();
    this.element.dataset.status = this.#footer.dataset.status = status;
    const parts = [];
    if (status === 'gone') parts.push(element('b', '', error.message));
    else if (status !== 'completed') {
      const why = { stopped: by ? ` by ${by}` : '', abandoned: '' }[status] ?? (error ? `: ${error.message}` : '');
      parts.push(element('b', '', (ENDINGS[status] ?? status) + why));
      this.retryButton = element('button', '', 'Retry');
      Object.assign(this.retryButton, { type: 'button', onclick: this.retry });
      parts.push(this.retryButton);
    }
    const { input, output } = this.#usage ?? {};
    const tokens = [input != null && `${input} tokens in`, output != null && `${output} out`].filter(Boolean).join(', ');
    const facts = [this.model, tokens].filter(Boolean).join(' · ');
    if (facts) parts.push(element('span', '', facts));
    this.#footer.replaceChildren(...parts);
    this.#footer.hidden = !parts.length;
    this.changed();
  }
}
