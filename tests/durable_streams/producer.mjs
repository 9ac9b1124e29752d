// The client's idempotent producer, with five batches in flight: numbers, until a line on stdin says that it is enough. Then it
// closes the stream with "end", and prints how many there were.
import { DurableStream, IdempotentProducer } from '@durable-streams/client';
import { patient, sleep } from './common.mjs';

const stream = await DurableStream.create({ url: process.argv[2], contentType: 'application/json' });
const failed = error => { console.error(error); process.exit(1); };
const producer = new IdempotentProducer(stream, 'numbers', { fetch: patient, onError: failed, lingerMs: 1, maxBatchBytes: 8 });
let over = false;
process.stdin.once('data', () => { over = true; });
let count = 0;
console.log('"ready"');
while (!over) {
  for (let n = 0; n < 5; n++) producer.append(JSON.stringify(count++));
  do await sleep(10); while (producer.inFlightCount > 20);
}
await producer.close('"end"');
console.log(count);
process.exit(0);
