// The public suite, unchanged, on the hub at HUB_URL.
import { runConformanceTests } from '@durable-streams/server-conformance-tests';

runConformanceTests({ baseUrl: process.env.HUB_URL, longPollTimeoutMs: 2000 });
