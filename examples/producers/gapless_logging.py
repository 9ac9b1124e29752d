"""A handler that publishes log records, and never waits: logging.getLogger().addHandler(GaplessHandler(url, "logs/app"))"""
import logging, queue, sys, threading
from gapless import publish_batch


class GaplessHandler(logging.Handler):
    def __init__(self, url, topic, token=None, most=10_000, farewell=5.0):
        super().__init__()
        self.url, self.topic, self.token, self.farewell, self.missing = url, topic, token, farewell, 0
        self.waiting = queue.Queue(most)
        (thread := threading.Thread(target=self.run, daemon=True)).start()
        # httpx logs each of our requests, on the client's own thread; published, each would cause another one.
        self.addFilter(lambda record: record.threadName not in (thread.name, "gapless-io"))

    def emit(self, record):  # Under the handler's lock, so records wait in the order in which they were made.
        try:
            if self.missing:
                self.waiting.put_nowait({"topic": self.topic, "event": "missing", "data": str(self.missing)})
                self.missing = 0
            level, text = record.levelname.lower(), self.format(record)[:30_000]
            self.waiting.put_nowait({"topic": self.topic, "event": level, "data": text})
        except queue.Full:
            self.missing += 1
        except Exception:
            self.handleError(record)

    def run(self):
        while True:
            batch = [self.waiting.get() for _ in range(max(1, min(self.waiting.qsize(), 100)))]
            try:
                publish_batch(self.url, batch, token=self.token)  # Tries for nine minutes.
            except Exception as error:
                print(f"{len(batch)} log records may be missing in the hub: {error!r}", file=sys.stderr)
            for _ in batch:
                self.waiting.task_done()

    def close(self):  # At the program's end: what waits has `farewell` seconds.
        with (sent := self.waiting.all_tasks_done):
            if not sent.wait_for(lambda: not self.waiting.unfinished_tasks, self.farewell):
                print(f"{self.waiting.unfinished_tasks} log records may be missing in the hub", file=sys.stderr)
        super().close()
