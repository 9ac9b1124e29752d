// The SDK for JavaScript: `publish URL TOPIC` in each mode, `read URL TOPIC FORM` in one. Prints one event a line, normalized.

import { CloudEvent, HTTP } from 'cloudevents';
import { EventSource } from 'eventsource';

const [action, url, topic, form] = process.argv.slice(2);
const target = `${url}/publish?topic=${topic}`;

/** The same line for the same event, whatever SDK and mode. In binary mode every attribute is text. */
function line(event) {
  const { data, data_base64: base64, gaplessid, gaplesstopic, ...attributes } = event.toJSON();
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined) delete attributes[name];
    else attributes[name] = String(value);
  }
  if (attributes.time) attributes.time = new Date(attributes.time).toISOString();
  const bytes = base64 ?? (Buffer.isBuffer(data) ? data.toString('base64') : undefined);
  const payload = bytes === undefined ? { data: data || null } : { bytes };
  return JSON.stringify(Object.entries({ ...attributes, ...payload }).sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function send({ headers, body }) {
  const response = await fetch(target, { method: 'POST', headers, body });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
}

async function get(path, accept) {
  const response = await fetch(url + path, { headers: accept ? { accept } : {} });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return { headers: Object.fromEntries(response.headers), body: Buffer.from(await response.arrayBuffer()) };
}

const EVENTS = [
  { id: 'js-1', data: { order: 42, note: 'größe\n"' }, datacontenttype: 'application/json', subject: 'no1', count: 7, flag: true },
  { id: 'js-2', data: 'a line\r\nand "another"', datacontenttype: 'text/plain', time: '2026-11-27T20:52:26.500Z' },
  { id: 'js-3', data: Buffer.from([0xff, 0, 0x0a]), datacontenttype: 'image/png' },
  // The SDK says JSON for an event without data, unless the type is given.
  { id: 'js-4', datacontenttype: 'application/json', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
].map(event => new CloudEvent({ source: 'https://shop.example', type: 'com.example.order', ...event }));

/** The array that the SDK reads, but does not write. */
const batch = events => ({
  headers: { 'content-type': 'application/cloudevents-batch+json' },
  body: JSON.stringify(events.map(event => event.toJSON())),
});

async function publish() {
  for (const event of EVENTS) await send(HTTP.binary(event));
  for (const event of EVENTS) await send(HTTP.structured(event));
  await send(batch(EVENTS));
  return [...EVENTS, ...EVENTS, ...EVENTS];
}

const structured = body => HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json' }, body });

const READ = {
  batch: async () => {
    const { headers, body } = await get(`/events?topic=${topic}&from=earliest`, 'application/cloudevents-batch+json');
    return HTTP.toEvent({ headers, body: body.toString() });
  },
  binary: async () => {
    const all = [];
    for (const { gaplessid } of await READ.batch()) {
      const { headers, body } = await get(`/events/${gaplessid}?topic=${topic}`);
      // The SDK does not decode attributes, and takes bytes for binary data, whatever the type.
      for (const name of Object.keys(headers)) if (name.startsWith('ce-')) headers[name] = decodeURIComponent(headers[name]);
      all.push(HTTP.toEvent({ headers, body: headers['content-type']?.startsWith('image/') ? body : body.toString() }));
    }
    return all;
  },
  structured: async () => {
    const all = [];
    for (const { gaplessid } of await READ.batch()) {
      const { headers, body } = await get(`/events/${gaplessid}?topic=${topic}`, 'application/cloudevents+json');
      all.push(HTTP.toEvent({ headers, body: body.toString() }));
    }
    return all;
  },
  stream: async () => {
    const count = (await READ.batch()).length;
    const all = [];
    const events = new EventSource(`${url}/events?topic=${topic}&from=earliest&format=cloudevents`);
    await new Promise(resolve => {
      events.onmessage = ({ data }) => all.push(structured(data)) === count && resolve();
    });
    events.close();
    return all;
  },
};

const events = action === 'publish' ? await publish() : await READ[form]();
for (const event of events) console.log(line(event));
