#!/usr/bin/env python3
"""Takes webhooks of GitHub and GitLab, checks that they are genuine, and publishes each once. Usage: webhooks.py PORT FILE"""
import hmac, os, sqlite3, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from gapless import publish

PORT, FILE, SECRET = int(sys.argv[1]), sys.argv[2], os.environ["WEBHOOK_SECRET"].encode()
URL, TOKEN, MOST = os.environ["GAPLESS_URL"], os.environ.get("GAPLESS_TOKEN"), 1_000_000  # The hub takes 1 MiB.


class Webhook(BaseHTTPRequestHandler):
    timeout = 10

    def do_POST(self):
        self.send_response(self.take(self.headers, int(self.headers.get("Content-Length", 0))))
        self.end_headers()

    def take(self, head, length):
        if not 0 < length <= MOST:
            return 413
        body, site = self.rfile.read(length), "github" if "X-GitHub-Event" in head else "gitlab"
        if site == "github":
            name, key, given = head["X-GitHub-Event"], head["X-GitHub-Delivery"], head["X-Hub-Signature-256"]
            want = "sha256=" + hmac.new(SECRET, body, "sha256").hexdigest()
        else:
            name, key, given, want = head["X-Gitlab-Event"], head["Idempotency-Key"], head["X-Gitlab-Token"], SECRET.decode()
        if not key or not hmac.compare_digest(want.encode(), (given or "").encode()):
            return 401
        with sqlite3.connect(FILE) as store:  # On disk before the answer: GitHub does not send it again by itself.
            store.execute("INSERT OR IGNORE INTO hooks VALUES (?, ?, ?, ?)", (f"{site}-{key}", site, name, body.decode()))
        return 202


store = sqlite3.connect(FILE)
store.execute("CREATE TABLE IF NOT EXISTS hooks (key PRIMARY KEY, site NOT NULL, event NOT NULL, body)")
threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", PORT), Webhook).serve_forever, daemon=True).start()
pause = threading.Event()
while True:
    for key, site, event, body in store.execute("SELECT * FROM hooks WHERE body NOT NULL ORDER BY rowid LIMIT 100").fetchall():
        publish(URL, f"webhooks/{site}", body, event=event, key=key, token=TOKEN)
        with store:  # The key stays, so that a delivery that is sent again is not published again.
            store.execute("UPDATE hooks SET body = NULL WHERE key = ?", (key,))
    pause.wait(0.2)
