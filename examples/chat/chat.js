// A chat without a server of its own. The conversation is a topic of the hub: what is in it, in its order, is what every tab
// shows. A message of the user is published to it; the answer is a run in it, which the hub asks the provider for.
import { Answer, element } from './answer.js';
import { events, refusal, Refused } from './events.js';
import { authorization, bindForm, runRequest } from './settings.js';

const $ = id => document.getElementById(id);
const HUB = new URL('../', document.baseURI).href;
// Answers that are read at once. With HTTP/1.1 a browser has six connections to the hub, for all tabs.
const READERS = 2;
// When the topic was silent for so long, what was stored in it is here.
const SETTLED = 400;

const log = $('log'), chat = chatId(), topic = 'chats/' + chat;
/** The conversation: {key, text, element} of the user, and Answers. */
const items = [];
const unread = [];
let reading = 0, settled = false, busy = false, listening, settling;

function chatId() {
  const wish = new URLSearchParams(location.search);
  // Not every hub is reached by HTTPS, so without randomUUID.
  const id = /^[\w-]{1,64}$/.exec(wish.get('chat') ?? '')?.[0] ?? key().slice(0, 12);
  wish.set('chat', id);
  history.replaceState(null, '', '?' + wish);
  wish.delete('chat');
  $('new').href = '?' + wish;
  return id;
}

function key() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('');
}

// ---- The topic

async function listen() {
  listening?.abort();
  const { signal } = listening = new AbortController();
  items.splice(0).forEach(item => item.element.remove());
  unread.length = 0;
  settled = false;
  const url = `${HUB}events?topic=${topic}&from=earliest`;
  const live = live => say(live ? 'live' : 'connecting', live ? 'Live' : 'Reconnecting; nothing will be missed');
  say('connecting', 'Connecting');
  settle();
  try {
    for await (const { event, data } of events(url, { headers: authorization(), signal, live })) {
      if (signal.aborted) return;
      settle();
      if (event === 'user') addUser(JSON.parse(data));
      else if (event === 'run.started') addAnswer(JSON.parse(data));
      else if (event === 'hub.gap') add({ element: element('p', 'gone', 'Earlier messages are gone.') });
      // All others are the provider's own events: each answer reads its run, in one shape for all providers.
    }
    if (!signal.aborted) say('refused', 'The conversation is closed');
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refused(error);
  }
}

function settle() {
  clearTimeout(settling);
  settling = setTimeout(() => { settled = true; update(); }, SETTLED);
}

function add(item) {
  items.push(item);
  keepAtEnd(() => log.append(item.element));
  update();
}

function addUser({ key, text }) {
  if (typeof text !== 'string' || typeof key !== 'string' || items.some(item => item.key === key)) return;
  add({ key, text, element: element('article', 'user', element('h2', '', 'You'), text) });
}

function addAnswer(started) {
  if (items.some(item => item.run === started.run)) return;
  const answer = new Answer(started, { changed: () => keepAtEnd(update), retry: () => ask() });
  unread.push(answer);
  add(answer);
  // Not at once: when a conversation is loaded, the newest answer is the one to begin with.
  setTimeout(readNext);
}

function readNext() {
  while (reading < READERS && unread.length) {
    reading++;
    unread.pop().read().finally(() => {
      reading--;
      readNext();
      update();
    });
  }
}

// ---- The user

async function send() {
  const text = $('text').value.trim();
  if (!text || $('send').disabled || $('send').hidden) return;
  // If no answer comes, the same text is sent again with the same key, and is in the topic once.
  const message = send.unanswered?.text === text ? send.unanswered : { key: key(), text };
  send.unanswered = message;
  await doing(async () => {
    const query = new URLSearchParams({ topic, event: 'user' });
    await post('publish?' + query, JSON.stringify(message), { 'Content-Type': 'text/plain', 'Idempotency-Key': message.key });
    $('text').value = '';
    send.unanswered = null;
    addUser(message);
    await begin();
  });
}

function ask() {
  return doing(begin);
}

/** Asks for an answer to the newest message of the user. */
async function begin() {
  await Promise.all(items.filter(item => item instanceof Answer).map(complete));
  const at = items.findLastIndex(item => item.key), { key } = items[at];
  // The answers that there are count the attempts: a POST whose response was lost joins the run that it has begun.
  const attempt = items.slice(at).filter(item => item instanceof Answer).length;
  const body = JSON.stringify(runRequest(topic, messages(at)));
  const begun = await post('runs', body, { 'Content-Type': 'application/json', 'Idempotency-Key': `${key}-${attempt}` });
  addAnswer({ run: begun.run, model: JSON.parse(body).request.model });
}

/** Waits until an answer is complete: the model is told of it. */
async function complete(answer) {
  while (!answer.ended) await new Promise(resolve => setTimeout(resolve, 50));
}

/** The conversation up to the item at `last`, as a model wants it: of several answers to a message, the last one. */
function messages(last) {
  const messages = [];
  for (const item of items.slice(0, last + 1)) {
    const role = item.key ? 'user' : 'assistant';
    if (!item.text) continue;
    if (role === 'assistant' && messages.at(-1)?.role === role) messages.pop();
    messages.push({ role, text: item.text });
  }
  return messages;
}

function stop() {
  const answer = running();
  return answer && doing(() => post(`runs/${answer.run}/stop`, '', {}));
}

async function doing(work) {
  busy = true;
  notice('');
  update();
  try {
    await work();
  } catch (error) {
    if (error instanceof Refused) {
      if (error.status === 401 || error.status === 403) openSettings(true, 'token');
      notice(error.message);
    } else if (error instanceof TypeError) {
      notice('The hub did not answer. Send it again: nothing is done twice.');
    } else {
      throw error;
    }
  } finally {
    busy = false;
    update();
  }
}

async function post(path, body, headers) {
  const response = await fetch(HUB + path, { method: 'POST', body, headers: { ...headers, ...authorization() } });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

// ---- The page

const running = () => items.findLast(item => item.status === 'running');

function update() {
  const active = running();
  $('empty').hidden = items.length > 0;
  $('send').hidden = Boolean(active);
  $('stop').hidden = !active;
  $('send').disabled = busy || !settled || items.some(item => item instanceof Answer && !item.ended);
  $('stop').disabled = busy;
  for (const item of items) if (item.retryButton) item.retryButton.hidden = item !== items.at(-1);
  // A message that nobody has asked an answer for: the page was closed in between, or the request was refused.
  const lone = settled && !busy && items.at(-1)?.key ? items.at(-1) : null;
  document.querySelectorAll('.lone').forEach(button => button.previousElementSibling === lone?.element || button.remove());
  if (lone && lone.element.nextElementSibling === null) {
    const button = element('button', 'lone', 'Ask for an answer');
    Object.assign(button, { type: 'button', onclick: ask });
    lone.element.after(button);
  }
}

// New text scrolls into view if the reader is at the end, and does not move what is being read above.
function keepAtEnd(change) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  change();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function say(state, word) {
  $('state').dataset.state = state;
  $('word').textContent = word;
}

function notice(text) {
  $('notice').textContent = text;
  $('notice').hidden = !text;
}

function refused(error) {
  say('refused', error.status === 401 || error.status === 403 ? 'A token is needed' : 'Refused');
  notice(error.message);
  if (error.status === 401 || error.status === 403) openSettings(true, 'token');
}

function openSettings(open, field = 'provider') {
  $('settings').hidden = !open;
  $('open').setAttribute('aria-expanded', open);
  if (open) $('settings').elements[field].focus();
}

$('open').onclick = () => openSettings($('settings').hidden);
$('composer').onsubmit = event => {
  event.preventDefault();
  send();
};
$('stop').onclick = stop;
$('text').onkeydown = event => {
  // Not while an input method composes a word.
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
};
onkeydown = event => { if (event.key === 'Escape') openSettings(false); };
bindForm($('settings'), () => {
  openSettings(false);
  notice('');
  listen();
});
$('text').focus();
listen();
