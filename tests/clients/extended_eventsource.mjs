// npm's `extended-eventsource`, as its README shows it.
import { EventSource } from 'extended-eventsource';

const source = new EventSource(process.argv[2]);
const hear = ({ type, lastEventId, data }) => console.log(JSON.stringify({ event: type, id: lastEventId, data }));
for (const name of ['message', 'step', 'hub.cursor', 'hub.gap', 'hub.end']) source.addEventListener(name, hear);
source.onerror = () => { if (source.readyState === EventSource.CLOSED) process.exit(0); };
