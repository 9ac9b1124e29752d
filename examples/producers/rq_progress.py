"""Progress of RQ's jobs on the topics jobs/<id>: call `progress` in a job, and enqueue it with **callbacks."""
import os, sys
from gapless import GaplessError, publish
from rq import Callback, get_current_job

URL, TOKEN = os.environ.get("GAPLESS_URL", "http://127.0.0.1:8080"), os.environ.get("GAPLESS_TOKEN")


def tell(job, event, data, step, wait, close=False):
    """A job that runs again repeats its keys, so that what is published already is not published twice."""
    key = f"rq-{job.id}-{step}"
    try:
        publish(URL, f"jobs/{job.id}", data, event=event, key=key, close=close, token=TOKEN, give_up_after=wait)
    except GaplessError as error:  # No job fails because the hub is down.
        print(f"{event} {data} of job {job.id} is not published: {error}", file=sys.stderr)


def progress(done, of, wait=10.0):
    tell(get_current_job(), "progress", {"done": done, "of": of}, done, wait)


def succeeded(job, connection, result):
    tell(job, "succeeded", {"result": str(result)}, "end", 540, close=True)


def failed(job, connection, kind, error, traceback):
    if not job.retries_left:
        tell(job, "failed", {"error": str(error)}, "end", 540, close=True)


callbacks = {"on_success": Callback(succeeded, timeout=600), "on_failure": Callback(failed, timeout=600)}
