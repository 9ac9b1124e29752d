"""The programs of the README do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hub_process import HubProcess
from waits import PATIENCE

import gapless


@pytest.fixture
def hub() -> Iterator[HubProcess]:
    hub = HubProcess()
    try:
        hub.start()
        yield hub
    finally:
        hub.remove()


def test_the_programs_of_the_readme(hub: HubProcess, tmp_path: Path) -> None:
    def run(index: int) -> list[str]:
        program = Path(os.environ["GAPLESS_README"], f"readme_{index}.py")
        command = [sys.executable, "-W", "error", str(program)]
        ended = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "HUB_URL": hub.url},
            timeout=PATIENCE,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout.splitlines()

    receipt, refused = run(0)
    assert re.match(r"[0-9a-z]+-1 20", receipt)
    assert refused == f"precondition-failed {receipt.split()[0]}"

    assert [re.sub(r"[0-9a-z]+-\d+", "ID", line) for line in run(1)] == [
        'jobs/7 ID progress {"done":1,"of":2}',
        'jobs/7 ID progress {"done":2,"of":2}',
        "no more events jobs/7 closed",
    ]

    assert run(2) == ['work on {"done":1,"of":2}', 'work on {"done":2,"of":2}']
    assert re.fullmatch(r"[0-9a-z]+-3", (tmp_path / "jobs.cursor").read_text())

    assert run(3) == []
    page = hub.request("GET", "/events?topic=answers/42&from=earliest", accept="application/json").json()
    assert [(event["event"], event["data"]) for event in page["events"]] == [
        ("token", "Hel"),
        ("token", "lo"),
        ("token", "!"),
        ("done", ""),
    ]
    assert page["closed"]

    assert run(4) == ["hello"]


def test_a_time_to_start_at(hub: HubProcess) -> None:
    """The hub reads a `datetime` as it is sent, with microseconds and an offset."""
    gapless.publish(hub.url, "t", "before")
    receipt = gapless.publish(hub.url, "t", "x", close=True)
    items = list(gapless.subscribe(hub.url, "t", since=datetime(2020, 1, 2, 3, 4, 5, 678, timezone.utc)))
    assert [item.data for item in items if isinstance(item, gapless.Event)] == ["before", "x"]
    moment = datetime.fromisoformat(receipt.time.replace("Z", "+00:00"))
    assert receipt.id in [
        item.id for item in gapless.subscribe(hub.url, "t", since=moment) if isinstance(item, gapless.Event)
    ]
