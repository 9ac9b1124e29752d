// A chat whose answer goes through a stream, with both halves of the transport: a line on stdin says the next word, an empty one ends
// the answer. Prints each chunk that a chat was given, with the chat's name. "rejoin" joins the answer as a page that was reloaded.
import { createInterface } from 'node:readline';
import { createDurableChatTransport, toDurableStreamResponse } from '@durable-streams/aisdk-transport';

// When a connection breaks, the client rejects a promise of its own that no application can reach, too.
process.on('unhandledRejection', () => {});

const writeUrl = process.argv[2];
const words = [], waiting = [];
const say = word => (waiting.length ? waiting.shift()(word) : words.push(word));
const heard = () => (words.length ? words.shift() : new Promise(resolve => waiting.push(resolve)));

async function* answer() {
  yield { type: 'start', messageId: 'm' };
  yield { type: 'text-start', id: 't' };
  for (let word; (word = await heard()) !== '';) yield { type: 'text-delta', id: 't', delta: word };
  yield { type: 'text-end', id: 't' };
  yield { type: 'finish' };
}

const api = 'http://app.test/chat';
const transport = () => createDurableChatTransport({
  api,
  fetchClient: async (_url, init) => init.method === 'POST'
    ? toDurableStreamResponse({ source: answer(), stream: { writeUrl } })
    : Response.json({ streamUrl: writeUrl }, { headers: { Location: writeUrl } }),
});

const show = async (name, opening) => {
  try {
    for await (const chunk of await opening) console.log(JSON.stringify([name, chunk]));
    console.log(JSON.stringify([name, 'over']));
  } catch (error) {
    console.log(JSON.stringify([name, 'failed', String(error)]));
  }
};

const messages = [{ id: 'u', role: 'user', parts: [{ type: 'text', text: 'Speak.' }] }];
show('first', transport().sendMessages({ trigger: 'submit-message', chatId: 'c', messages }));
let rejoined = 0;
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'rejoin') show(`again ${++rejoined}`, transport().reconnectToStream({ chatId: 'c' }));
  else say(line);
}
process.exit(0);
