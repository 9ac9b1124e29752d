// Reads a stream of JSON to its end, a line for each message, with the client's mode of argv[3]. After an error it goes on at the
// offset that the client has given with the last batch, as an application does.
import { stream } from '@durable-streams/client';
import { sleep } from './common.mjs';

const [url, mode] = process.argv.slice(2);
const live = mode === 'catch-up' ? false : mode;
const backoffOptions = { initialDelay: 50, maxDelay: 500, multiplier: 1.5 };
let offset = '-1', ended = false;
while (!ended) {
  try {
    const response = await stream({ url, offset, live, json: true, backoffOptions });
    response.subscribeJson(batch => {
      for (const item of batch.items) console.log(JSON.stringify(item));
      ({ offset, streamClosed: ended } = batch);
    });
    await response.closed;
  } catch { /* the hub is away */ }
  await sleep(20);
}
process.exit(0);
