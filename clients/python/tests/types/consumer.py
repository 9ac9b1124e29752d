"""Type-checked as a consumer's code, and never run. Each `type: ignore` is an error that must be there."""

from collections.abc import Mapping
from datetime import datetime

import httpx
from typing_extensions import assert_type

import gapless
from gapless import End, Event, Gap, Item, Receipt, Removed, aio


def told(item: Item) -> str | None:
    """A match over the items is complete, and each has its fields."""
    match item:
        case Event():
            return item.data
        case Gap():
            return item.resumes_at
        case End():
            return item.last_id
        case Removed():
            return item.position


def change(event: Event, problem: gapless.HubProblem) -> None:
    event.data = "x"  # type: ignore[misc]
    print(event.body)  # type: ignore[attr-defined]
    assert_type(problem.code, str | None)


def threads(url: str, progress: Mapping[str, int], client: httpx.Client) -> list[Receipt]:
    one = gapless.publish(url, "t", progress, event="progress", if_match="none", token=lambda: "t", client=client)
    assert_type(one, Receipt)
    gapless.publish(url, "t")  # type: ignore[call-arg]
    gapless.publish(url, "t", b"bytes are not checked", clsoe=True)  # type: ignore[call-arg]
    gapless.publish_batch(url, [{"topic": "t"}])  # type: ignore[typeddict-item]
    gapless.publish_batch(url, [{"topic": "t", "data": 1, "close": True}])
    for item in gapless.subscribe(url, ["a", "b/*"], from_="earliest", since=datetime.now()):
        told(item)
    gapless.subscribe(url)  # type: ignore[call-arg]
    gapless.subscribe(url, "t", delivery="exactly-once")  # type: ignore[arg-type]
    with gapless.stream(url, "t") as tokens:
        tokens.write([1, 2], event="numbers")
        assert_type(tokens.flush(), Receipt | None)
    return [one]


async def tasks(url: str, client: httpx.AsyncClient) -> None:
    async def token() -> str:
        return "t"

    assert_type(await aio.publish(url, "t", None, token=token, client=client), Receipt)
    async for item in aio.subscribe(url, "t", token=token):
        told(item)
    for item in aio.subscribe(url, "t"):  # type: ignore[attr-defined]
        told(item)
    gapless.subscribe(url, "t", token=token)  # type: ignore[arg-type]
    aio.subscribe(url, "t", client=httpx.Client())  # type: ignore[arg-type]
    async with aio.stream(url, "t") as tokens:
        await tokens.write("x")


class Store:
    def get(self) -> str | None:
        return None

    def set(self, cursor: str) -> None:
        pass


class AsyncStore:
    async def get(self) -> str | None:
        return None

    async def set(self, cursor: str) -> None:
        pass


def stores(url: str) -> None:
    gapless.subscribe(url, "t", store=Store())
    gapless.subscribe(url, "t", store=AsyncStore())  # type: ignore[arg-type]
    aio.subscribe(url, "t", store=Store())
    aio.subscribe(url, "t", store=AsyncStore())
