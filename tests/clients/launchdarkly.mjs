// npm's `launchdarkly-eventsource`, as its README shows it.
import { EventSource } from 'launchdarkly-eventsource';

const source = new EventSource(process.argv[2]);
const hear = ({ type, lastEventId, data }) => console.log(JSON.stringify({ event: type, id: lastEventId, data }));
for (const name of ['message', 'step', 'hub.cursor', 'hub.gap', 'hub.end']) source.addEventListener(name, hear);
source.on('error', () => {}); // An `error` that nobody listens for ends node.
source.on('closed', () => process.exit(0));
