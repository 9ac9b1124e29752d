#!/usr/bin/env python3
"""Publishes the rows of PostgreSQL's table outbox (outbox.sql), each once, and deletes them. Usage: outbox.py DATABASE-URL"""
import os, sys
import httpx, psycopg
from gapless import publish

URL, TOKEN = os.environ["GAPLESS_URL"], os.environ.get("GAPLESS_TOKEN")
READ = "SELECT id, key, topic, event, data::text FROM outbox ORDER BY id LIMIT 100"

database = psycopg.connect(sys.argv[1], autocommit=True)
database.execute("LISTEN outbox")
# One forwarder at a time: another one waits here, and takes over when this one's connection ends.
database.execute("SELECT pg_advisory_lock(hashtext('gapless outbox'))")
with httpx.Client(timeout=60) as client:
    while True:
        rows = database.execute(READ).fetchall()
        for id, key, topic, event, data in rows:
            # Killed between these two, the forwarder sends the row again, and the hub knows its key.
            publish(URL, topic, data, event=event, key=f"outbox-{key}", token=TOKEN, client=client)
            database.execute("DELETE FROM outbox WHERE id = %s", (id,))
        if not rows:
            for _ in database.notifies(timeout=5, stop_after=1):
                pass
