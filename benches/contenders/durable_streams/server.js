// The reference server of Durable Streams in Node: `server.js PORT [DIRECTORY]`. Without a directory it keeps streams in memory.
'use strict';
const { DurableStreamTestServer } = require('@durable-streams/server');

const [port, dataDir] = process.argv.slice(2);
const server = new DurableStreamTestServer({ host: '127.0.0.1', port: Number(port), dataDir });
server.start().then(() => console.log(`reference server listening on ${server.baseUrl ?? server.url}`));
