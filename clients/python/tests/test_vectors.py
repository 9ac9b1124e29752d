"""Runs clients/vectors/*.json with threads and with asyncio: their format is in clients/vectors/README.md."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from driven import Consumer, Driven, Tasks, Threads
from hub_process import HubProcess
from proxy import Proxy
from waits import PATIENCE, until

import gapless

Step = dict[str, Any]

PLACE = Path(os.environ["GAPLESS_VECTORS"])
# The longest first: else the others end long before it.
FILES = sorted(PLACE.glob("*.json"), key=lambda file: (file.stem != "slow-reader", file.stem))


class MemoryStore:
    def __init__(self) -> None:
        self.cursor: str | None = None

    def get(self) -> str | None:
        return self.cursor

    def set(self, cursor: str) -> None:
        self.cursor = cursor


class AsyncMemoryStore(MemoryStore):
    """The same, for a client that awaits it."""

    def __init__(self, under: MemoryStore) -> None:
        self._under = under

    async def get(self) -> str | None:  # type: ignore[override]
        return self._under.cursor

    async def set(self, cursor: str) -> None:  # type: ignore[override]
        self._under.cursor = cursor


class Background:
    """A step that is in progress."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._error: BaseException | None = None

        def run() -> None:
            try:
                work()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(2 * PATIENCE)
        assert not self._thread.is_alive(), "it never ended"
        if self._error is not None:
            raise self._error


class Scenario:
    def __init__(self, file: Step, client: Driven) -> None:
        self.file = file
        self.client = client
        self.hub = HubProcess()
        self.proxy = Proxy(lambda: self.hub.port)
        self.url = f"http://127.0.0.1:{self.proxy.port}"
        self.flags: list[str] = file.get("flags", [])
        self.saved: dict[str, str] = {}
        self.stores: dict[str, MemoryStore] = {}
        self.consumers: dict[str, Consumer] = {}
        self.streams: dict[str, Any] = {}
        self.background: dict[str, Background] = {}

    def run(self) -> None:
        try:
            for index, step in enumerate(self.file["steps"]):
                try:
                    # A step that never ends fails: later than what it waits for by itself.
                    Background(lambda step=step: self.step(step)).join()  # type: ignore[misc]
                except BaseException as error:
                    state = str([(one.taken[:9], one.end) for one in self.consumers.values()])[:3000]
                    raise AssertionError(f"step {index} {json.dumps(step)[:300]}: {error!r}; {state}") from error
        finally:
            for consumer in self.consumers.values():
                consumer.leave()
            self.proxy.close()
            self.hub.remove()
            self.client.close()

    def step(self, step: Step) -> None:
        path = re.sub(r"\$([a-zA-Z]+)", lambda name: self.saved[name[1]], step.get("path", ""))
        match step["do"]:
            case "hub":
                self.change_hub(step)
            case "request":
                answer = self.hub.request(step["method"], path, step.get("body"), step.get("token"))
                assert answer.status_code == step["status"], answer.text
            case "await":

                def has() -> bool:
                    self.match(self.hub.request("GET", path, token=step.get("token")).json(), step["has"])
                    return True

                until(f"{path} has {step['has']}", has)
            case "fill":
                batch = [{"topic": step["topic"], "data": data} for data in filled(step)]
                assert self.hub.request("POST", "/publish", batch, step.get("token")).status_code == 200
            case "kept":
                assert self.kept(step["topic"], step.get("token")) == filled(step)
            case "proxy":
                self.proxy.step(step)
            case "publish":
                self.outcome(step, lambda: self.publish(step))
            case "write":
                self.outcome(step, lambda: self.write(step))
            case "finish":
                self.outcome(step, lambda: self.client.finish(self.streams[step["as"]], step.get("last")))
            case "join":
                self.background[step["of"]].join()
            case "subscribe":
                self.subscribe(step)
            case "take":
                self.consumers[step["of"]].take()
            case "leave":
                consumer = self.consumers[step["of"]]
                consumer.leave()
                until("the consumer has left", lambda: consumer.end is not None)
            case "expect":
                self.expect(self.consumers[step["of"]], step)
            case "cursor":
                until(
                    "the store has the cursor",
                    lambda: self.stores[step["store"]].cursor == self.known(step["is"]),
                )
            case other:
                raise AssertionError(f"no such step: {other}")

    def change_hub(self, step: Step) -> None:
        match step["is"]:
            case "killed":
                self.hub.end(signal.SIGKILL)
            case "stopped":
                self.hub.end(signal.SIGTERM)
            case "started":
                self.flags = step.get("flags", self.flags)
                self.hub.start(self.flags, step.get("store") == "new")
            case other:
                raise AssertionError(f"no such hub: {other}")

    def outcome(self, step: Step, work: Callable[[], Any]) -> None:
        """Does what publishes, now or in the background, and judges the outcome."""

        def judged() -> None:
            try:
                done = work()
            except gapless.HubProblem as error:
                if "error" not in step:
                    raise
                self.match(problem(error), step["error"])
                return
            except gapless.PublishUncertain as error:
                if "uncertain" not in step:
                    raise
                cause = error.__cause__
                assert isinstance(cause, gapless.HubProblem), repr(cause)
                self.match({"key": error.key, "cause": problem(cause)}, step["uncertain"])
                return
            assert "error" not in step and "uncertain" not in step, f"it has succeeded: {done}"
            receipts = [dataclasses.asdict(one) for one in (done if isinstance(done, list) else [done] if done else [])]
            if "receipt" in step:
                self.match(receipts[0], step["receipt"])
            if "receipts" in step:
                self.match(receipts, step["receipts"])
            names = step.get("save", [])
            for index, name in enumerate([names] if isinstance(names, str) else names):
                self.saved[name] = receipts[index]["id"]

        background = Background(judged)
        if "background" in step:
            self.background[step["background"]] = background
        else:
            background.join()

    def publish(self, step: Step) -> Any:
        options = {
            "key": step.get("key"),
            "token": token_of(step.get("token"), lambda _: None),
            "if_match": self.known(step.get("if_match")),
        }
        if "batch" in step:
            return self.client.publish_batch(self.url, step["batch"], **options)
        more = {name: step[name] for name in ("event", "close") if name in step}
        return self.client.publish(self.url, step["topic"], step["data"], **more, **options)

    def write(self, step: Step) -> None:
        name = step["as"]
        if name not in self.streams:
            self.streams[name] = self.client.open_stream(self.url, step["topic"], step.get("token"))
        self.client.write(self.streams[name], filled(step), step.get("event"))

    def subscribe(self, step: Step) -> None:
        consumer = Consumer(step.get("pause_after"), step.get("fails_on"))
        options: Step = {name: step[name] for name in ("since", "delivery") if name in step}
        if "store" in step:
            store = self.stores.setdefault(step["store"], MemoryStore())
            options["store"] = AsyncMemoryStore(store) if isinstance(self.client, Tasks) else store

        def counted(calls: int) -> None:
            consumer.tokens = calls

        self.consumers[step["as"]] = consumer
        self.client.subscribe(
            consumer,
            self.url,
            step["topics"],
            from_=step.get("from"),
            cursor=self.known(step.get("cursor")),
            token=token_of(step.get("token"), counted),
            **options,
        )

    def expect(self, consumer: Consumer, step: Step) -> None:
        wanted = step.get("items")
        if "count" in step:
            wanted = [{"type": "event", "data": data} for data in filled(step)]
        if wanted is not None:
            until(f"{len(wanted)} items", lambda: len(consumer.taken) >= len(wanted) or consumer.end is not None)
            taken = [spelled(item) for item in consumer.taken[: len(wanted)]]
            del consumer.taken[: len(wanted)]
            self.match(taken, wanted)
        elif "tokens" in step:
            assert consumer.tokens == step["tokens"]
        else:
            until("the subscription has ended", lambda: consumer.end is not None)
            assert consumer.taken == []
            if "error" in step:
                assert isinstance(consumer.end, gapless.HubProblem), repr(consumer.end)
                self.match(problem(consumer.end), step["error"])
            else:
                assert consumer.end == ("failed" if "failed" in step else "done")

    def kept(self, topic: str, token: str | None) -> list[str]:
        found: list[str] = []
        start = {"from": "earliest"}
        while True:
            query = urlencode({"topic": topic, "limit": "1000", **start})
            page = self.hub.request("GET", f"/events?{query}", token=token, accept="application/json").json()
            if not page["events"]:
                return found
            found.extend(event["data"] for event in page["events"])
            start = {"last_event_id": page["next"]}

    def known(self, value: Any) -> Any:
        return self.saved[value[1:]] if isinstance(value, str) and value.startswith("$") else value

    def match(self, actual: Any, expected: Any) -> None:
        if isinstance(expected, list):
            assert isinstance(actual, list) and len(actual) == len(expected), f"{actual} is as long as {expected}"
            for one, wanted in zip(actual, expected, strict=True):
                self.match(one, wanted)
        elif isinstance(expected, dict):
            for name, value in expected.items():
                self.match(actual.get(name), value)
        else:
            assert actual == self.known(expected)


def spelled(item: gapless.Item) -> Step:
    """An item as the format has it."""
    return {"type": type(item).__name__.lower(), **dataclasses.asdict(item)}


def problem(error: gapless.HubProblem) -> Step:
    return {name: getattr(error, name) for name in ("status", "code", "title", "detail", "last_id")}


def token_of(token: str | list[str] | None, count: Callable[[int], None]) -> Any:
    """A text, or a function that goes through a list of them."""
    if not isinstance(token, list):
        return token
    calls = 0

    def next_token() -> str:
        nonlocal calls
        calls += 1
        count(calls)
        return token[min(calls, len(token)) - 1]

    return next_token


def filled(step: Step) -> list[Any]:
    """The data of a step: a list, or so many texts, as `fill` publishes them."""
    if "count" not in step:
        return list(step["data"])
    return [f"{step['data']}{n}".ljust(step.get("bytes", 0), ".") for n in range(step["count"])]


@pytest.mark.parametrize("client", [Threads, Tasks], ids=["threads", "asyncio"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_vector(file: Path, client: type[Driven]) -> None:
    vector = json.loads(file.read_text())
    assert vector["name"] == file.stem
    Scenario(vector, client()).run()


def test_there_are_vectors() -> None:
    assert FILES
