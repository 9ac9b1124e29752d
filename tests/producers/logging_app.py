"""An app that logs: RECORDS of each of THREADS, with a PAUSE, through a queue of MOST; then, with `wait`, one more after a line of stdin."""

import logging
import os
import sys
import threading
import time

from gapless_logging import GaplessHandler

records, threads, pause, most = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
farewell = float(os.environ.get("FAREWELL", "20"))
order = 0


class Handler(GaplessHandler):
    """Notes the order in which records come to the handler."""

    def format(self, record):
        global order
        text = super().format(record)
        for byte in text.encode():
            order = (order * 31 + byte) & 0xFFFFFFFF
        return text


handler = Handler(os.environ["GAPLESS_URL"], "logs/app", token=os.environ["GAPLESS_TOKEN"], most=most, farewell=farewell)
logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])


def work(thread):
    for number in range(records):
        logging.info("thread %d record %d", thread, number)
        time.sleep(pause)


workers = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print("logged")
if "wait" in sys.argv:
    sys.stdin.readline()
    with handler.waiting.all_tasks_done:
        handler.waiting.all_tasks_done.wait_for(lambda: not handler.waiting.unfinished_tasks, 20)
    logging.warning("after the gap")
print("order", order)
