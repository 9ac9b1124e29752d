// A broadcaster in plain Node: a set of responses for each topic, and a write to each of them for each event.
// It keeps nothing.
'use strict';
const http = require('node:http');

const topics = new Map();
let seq = 0;

const streamsOf = (topic) => {
  let streams = topics.get(topic);
  if (!streams) topics.set(topic, (streams = new Set()));
  return streams;
};

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://hub');
  const streams = streamsOf(url.searchParams.get('topic'));
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    response.write('retry: 1\n\n');
    streams.add(response);
    response.on('close', () => streams.delete(response));
    return;
  }
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (piece) => { body += piece; });
  request.on('end', () => {
    seq += 1;
    const event = `id: node-${seq}\ndata: ${body}\n\n`;
    for (const stream of streams) stream.write(event);
    response.writeHead(204);
    response.end();
  });
});
server.requestTimeout = 0;
server.keepAliveTimeout = 0;
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`node_hub listening on http://127.0.0.1:${server.address().port}`);
});
