// npm's `eventsource`, as its README shows it.
import { EventSource } from 'eventsource';

const source = new EventSource(process.argv[2]);
source.onmessage = ({ lastEventId, data }) => console.log(JSON.stringify({ id: lastEventId, data }));
source.onerror = () => { if (source.readyState === EventSource.CLOSED) process.exit(0); };
