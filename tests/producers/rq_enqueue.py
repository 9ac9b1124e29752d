"""Enqueues a job: REDIS-URL ID RETRIES FUNCTION ARGUMENTS, with the recipe's callbacks."""

import json
import sys

import redis
import rq_jobs
from rq import Queue, Retry
from rq_progress import callbacks

_, url, id, retries, function, arguments = sys.argv
queue = Queue(connection=redis.Redis.from_url(url))
retry = Retry(max=int(retries)) if int(retries) else None
queue.enqueue(getattr(rq_jobs, function), *json.loads(arguments), job_id=id, retry=retry, **callbacks)
