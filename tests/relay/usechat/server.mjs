// What Next does with `app`: bundles the page, and gives each request to its route. Prints its address. A line on stdin cuts
// the streams that are open, as a dead network does.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import * as chats from "./app/api/chat/route.js";
import * as chat from "./app/api/chat/[id]/route.js";
import * as stream from "./app/api/chat/[id]/stream/route.js";
import * as stop from "./app/api/runs/[id]/stop/route.js";
import { load } from "./app/store.js";

const bundle = await build({
  entryPoints: [fileURLToPath(new URL("app/main.jsx", import.meta.url))],
  bundle: true, write: false, format: "esm", jsx: "automatic", define: { "process.env.NODE_ENV": '"development"' },
});
const script = bundle.outputFiles[0].contents;

const page = async (id, search) => {
  const data = { id, saved: await load(id), hub: search.get("hub") };
  return new Response(
    `<!doctype html><meta charset="utf-8"><title>Chat</title><script type="application/json" id="data">${
      JSON.stringify(data).replaceAll("<", "\\u003c")}</script><div id="root"></div><script type="module" src="/main.js"></script>`,
    { headers: { "content-type": "text/html" } });
};
const routes = [
  [/^GET \/main\.js$/, () => new Response(script, { headers: { "content-type": "text/javascript" } })],
  [/^GET \/favicon\.ico$/, () => new Response(null, { status: 204 })],
  [/^GET \/chats\/([^/]+)$/, (request, id) => page(id, new URL(request.url).searchParams)],
  [/^POST \/api\/chat$/, (request) => chats.POST(request)],
  [/^PUT \/api\/chat\/([^/]+)$/, (request, id) => chat.PUT(request, { params: Promise.resolve({ id }) })],
  [/^GET \/api\/chat\/([^/]+)\/stream$/, (request, id) => stream.GET(request, { params: Promise.resolve({ id }) })],
  [/^POST \/api\/runs\/([^/]+)\/stop$/, (request, id) => stop.POST(request, { params: Promise.resolve({ id }) })],
];

const open = new Set();
const server = createServer(async (incoming, outgoing) => {
  try {
    const url = new URL(incoming.url, "http://page");
    const called = `${incoming.method} ${url.pathname}`;
    const [pattern, route] = routes.find(([pattern]) => pattern.test(called)) ?? [/^/, () => new Response(null, { status: 404 })];
    const body = /POST|PUT/.test(incoming.method) ? Readable.toWeb(incoming) : undefined;
    const request = new Request(url, { method: incoming.method, headers: incoming.headers, body, duplex: "half" });
    const response = await route(request, ...called.match(pattern).slice(1).map(decodeURIComponent));
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    if (!response.body) return outgoing.end();
    open.add(outgoing);
    outgoing.flushHeaders();
    await pipeline(Readable.fromWeb(response.body), outgoing).catch(() => {}); // the browser has left
    open.delete(outgoing);
  } catch (error) {
    console.error(error);
    outgoing.destroy();
  }
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
for await (const _ of createInterface({ input: process.stdin })) open.forEach((outgoing) => outgoing.destroy());
process.exit();
