// npm's `eventsource`, as its README shows it: a line for each event; it ends when the source is closed.
import { EventSource } from 'eventsource';

const source = new EventSource(process.argv[2]);
const hear = ({ type, lastEventId, data }) => console.log(JSON.stringify({ event: type, id: lastEventId, data }));
for (const name of ['open', 'message', 'data', 'control', 'hub.gap']) source.addEventListener(name, hear);
source.onerror = () => { if (source.readyState === EventSource.CLOSED) process.exit(0); };
