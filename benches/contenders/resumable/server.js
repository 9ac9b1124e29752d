// A server of resumable-stream in plain Node: `server.js UPSTREAM`, with Redis at REDIS_URL. POST passes the request on to
// UPSTREAM, an address like http://127.0.0.1:1, and its answer through a resumable stream; GET /streams/ID follows that one.
'use strict';
const { randomUUID } = require('node:crypto');
const http = require('node:http');
const { createResumableStreamContext } = require('resumable-stream');

const [upstream] = process.argv.slice(2);
// Nothing is to be done after a response: the process stays.
const context = createResumableStreamContext({ waitUntil: (promise) => { promise.catch(console.error); } });

const bodyOf = async (request) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces);
};

const answer = async (request, response) => {
  let [id, stream] = [randomUUID(), null];
  if (request.method === 'GET') {
    id = request.url.slice('/streams/'.length);
    stream = await context.resumeExistingStream(id);
  } else {
    const headers = { 'content-type': 'application/json' };
    const asked = await fetch(upstream + request.url, { method: 'POST', headers, body: await bodyOf(request) });
    stream = await context.createNewResumableStream(id, () => asked.body.pipeThrough(new TextDecoderStream()));
  }
  if (!stream) {
    response.writeHead(204).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', 'stream-id': id });
  for await (const piece of stream) response.write(piece);
  response.end();
};

const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.destroy();
  });
});
server.requestTimeout = 0;
server.keepAliveTimeout = 0;
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`resumable-stream listening on http://127.0.0.1:${server.address().port}`);
});
