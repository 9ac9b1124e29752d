"""Jobs that tell their progress."""

import os
import signal
import time
from pathlib import Path

from rq import get_current_job
from rq_progress import progress


def count(of, pause, killed_at=0):
    """The first time, its process is killed after this step."""
    for done in range(1, of + 1):
        time.sleep(pause)
        progress(done, of)
        mark = Path(f"{get_current_job().id}.killed")
        if done == killed_at and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return of


def fails(times):
    """So often, and then it is done."""
    progress(1, 2)
    tries = Path(f"{get_current_job().id}.tries")
    before = len(tries.read_text()) if tries.exists() else 0
    tries.write_text("." * (before + 1))
    if before < times:
        raise ValueError("the second step is missing")
