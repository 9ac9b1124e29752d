"""The rules without I/O: waits, bounds, what is sent, and when the cursor moves."""

from __future__ import annotations

import json
import pickle
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
from played import URL, Answer, Played, block, hub, streamed

import gapless
from gapless import End, Event, Gap, HubProblem, NetworkError, PublishUncertain, Removed, Status, Waiting, aio
from gapless._batches import Batches
from gapless._effects import Close, Deliver, Effect, Read, Request, SaveCursor
from gapless._publish import PublishOptions, _publish, _receipt, encode, encode_batch, publish_many, publish_one
from gapless._subscription import SubscriptionRules

ENDED = Answer(204)
DOWN = NetworkError("down")


def rules(topics: Any = "t", token: object = None, chance: float = 0.0, **options: Any) -> SubscriptionRules:
    given = {"from_": None, "since": None, "cursor": None, "delivery": "at-least-once", "on_status": None, **options}
    return SubscriptionRules(hub(token), topics, chance=lambda: chance, **given)


def waits(count: int, *answers: Answer | NetworkError, chance: float = 0.0) -> list[float]:
    """The first waits of a subscription."""
    played = Played(*answers)
    played.run(rules(chance=chance).run(), until=lambda: len(played.delays) == count)
    return played.delays


def test_the_delay_is_the_retry_of_the_hub_after_an_end() -> None:
    # A stream of nothing but `retry:` is what a hub that drains sends.
    assert waits(2, streamed(b"retry: 5000\n"), streamed(block(1))) == [5, 5]
    assert waits(1, streamed(b"retry: 0\n")) == [0.1]
    assert waits(1, streamed(b"retry: 86400000\n")) == [600]


def test_the_delay_grows_with_failures_up_to_a_bound() -> None:
    assert waits(7, *[DOWN] * 7) == [3, 6, 12, 24, 48, 60, 60]
    assert waits(2, DOWN, DOWN, chance=1.0) == [3.75, 7.5]
    assert waits(1, streamed(b"retry: 5000\n", breaks=True)) == [5]
    assert waits(3, DOWN, DOWN, streamed(b"retry: 200\n")) == [3, 6, 0.2]
    assert waits(2, streamed(b"retry: 90000\n", breaks=True), DOWN) == [90, 90]


def test_the_delay_grows_until_something_has_come_not_only_a_head() -> None:
    cursor = b"retry: 3000\nevent: hub.cursor\ndata: {}\nid: e-0\n\n"
    for answer in (streamed(breaks=True), streamed(), streamed(cursor, breaks=True)):
        assert waits(4, *[answer] * 4) == [3, 6, 12, 24]
    for text in (block(1), b":\n"):
        assert waits(4, DOWN, *[streamed(text, breaks=True)] * 3) == [3, 3, 3, 3]


def test_retry_after_is_kept_as_seconds_and_as_a_date() -> None:
    assert waits(1, Answer(503, {"retry-after": "77"})) == [77]
    assert waits(1, Answer(503, {"retry-after": "99999999"})) == [600]
    for nothing in ("soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT", "\u0663"):
        assert waits(1, Answer(429, {"retry-after": nothing})) == [3]
    date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=300), usegmt=True)
    (wait,) = waits(1, Answer(429, {"retry-after": date}))
    assert 3 < wait <= 300


def test_a_status_tells_why_it_waits() -> None:
    told: list[Status] = []
    played = Played(streamed(block(1)), Answer(503), ENDED)
    played.run(rules(on_status=told.append).run())
    waiting = [status for status in told if isinstance(status, Waiting)]
    assert [status.delay for status in waiting] == [3, 3]
    assert waiting[0].error is None
    assert isinstance(waiting[1].error, HubProblem)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 301, 501])
def test_what_no_retry_can_change_is_an_error(status: int) -> None:
    body = b'{"status":400,"code":"some-code","title":"A title","detail":"a detail","request_id":"r"}'
    with pytest.raises(HubProblem, match="A title: a detail") as caught:
        Played(Answer(status, {}, [body[:20], body[20:]])).run(rules().run())
    problem = caught.value
    assert (problem.status, problem.code, problem.request_id) == (status, "some-code", "r")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507])
def test_what_a_retry_may_change_is_none(status: int) -> None:
    assert waits(1, Answer(status)) == [3]


def test_a_page_in_place_of_a_problem_is_not_read_to_its_end() -> None:
    played = Played(Answer(400, {}, [b"x" * 10_000] * 1000))
    with pytest.raises(HubProblem, match="HTTP status 400") as caught:
        played.run(rules().run())
    assert caught.value.code is None
    assert len(played.of(Read)) < 10


def test_a_problem_survives_pickle() -> None:
    problem = HubProblem(412, {"code": "precondition-failed", "last_id": "e-1"}, 2.0)
    copy = pickle.loads(pickle.dumps(problem))
    assert (copy.status, copy.code, copy.last_id, copy.retry_after) == (412, "precondition-failed", "e-1", 2.0)
    assert pickle.loads(pickle.dumps(PublishUncertain("k"))).key == "k"


def test_a_token_is_asked_for_once_and_renewed_once() -> None:
    played = Played(Answer(401), streamed(block(1)), streamed(block(2)), ENDED, tokens=["old", "new"])
    played.run(rules(token=lambda: "").run())
    sent = [request.headers["authorization"] for request in played.of(Request)]
    assert sent == ["Bearer old", "Bearer new", "Bearer new", "Bearer new"]


def test_a_token_that_is_refused_twice_is_an_error() -> None:
    played = Played(Answer(401), Answer(401), tokens=["a", "b"])
    with pytest.raises(HubProblem):
        played.run(rules(token=lambda: "").run())
    played = Played(Answer(401), streamed())
    with pytest.raises(HubProblem):
        played.run(rules(token="fixed").run())
    assert len(played.of(Request)) == 1


def test_what_no_header_may_have_is_an_error_of_the_caller() -> None:
    for token in ("a\r\nb", "\u00e9"):
        with pytest.raises(ValueError, match="token"):
            Played().run(rules(token=token).run())
    with pytest.raises(TypeError, match="no text"):
        Played(tokens=[7]).run(rules(token=lambda: 7).run())
    with pytest.raises(ValueError, match="key"):
        Played().run(_publish(hub(), b"{}", PublishOptions(key="a\nb")))


def test_a_few_topics_are_in_the_query_and_many_in_a_body() -> None:
    many = [f"a topic with a name/{n}" for n in range(1000)]
    for topics in (["a&b", "c/**"], many):
        played = Played(ENDED)
        played.run(rules(topics, cursor="e-7", from_="now").run())
        (request,) = played.of(Request)
        if topics is many:
            assert (request.method, request.path) == ("POST", "/events")
            assert json.loads(request.body) == {"topics": many, "format": "json", "last_event_id": "e-7"}
        else:
            assert request.method == "GET"
            assert request.path == "/events?format=json&last_event_id=e-7&topic=a%26b&topic=c%2F%2A%2A"


def test_where_it_starts() -> None:
    def path(**options: Any) -> str:
        played = Played(ENDED)
        played.run(rules(**options).run())
        request: Request = played.of(Request)[0]
        return request.path

    assert path() == "/events?format=json&topic=t"
    assert path(from_="last:3") == "/events?format=json&from=last%3A3&topic=t"
    moment = datetime(2026, 11, 27, 8, 0, tzinfo=timezone(timedelta(hours=1)))
    assert path(since=moment) == "/events?format=json&since=2026-11-27T07%3A00%3A00%2B00%3A00&topic=t"
    with pytest.raises(ValueError, match="time zone"):
        rules(since=datetime(2026, 11, 27))


def test_a_store_is_asked_once_and_the_cursor_wins() -> None:
    played = Played(streamed(block(8)), ENDED, cursor="e-7")
    played.run(rules(from_="earliest").run())
    first, second = played.of(Request)
    assert "last_event_id=e-7" in first.path and "from=" not in first.path
    assert "last_event_id=e-8" in second.path
    played = Played(ENDED, cursor="e-7")
    played.run(rules(cursor="e-9").run())
    assert "last_event_id=e-9" in played.of(Request)[0].path


@pytest.mark.parametrize("delivery", ["at-least-once", "at-most-once"])
def test_when_the_cursor_moves(delivery: str) -> None:
    played = Played(streamed(b"event: hub.cursor\ndata: {}\nid: e-0\n\n" + block(1) + block(2)), ENDED)
    played.run(rules(delivery=delivery).run())
    order = [
        effect.cursor if isinstance(effect, SaveCursor) else "item"
        for effect in played.effects
        if isinstance(effect, SaveCursor | Deliver)
    ]
    assert order == (
        ["e-0", "item", "e-1", "item", "e-2"] if delivery == "at-least-once" else ["e-0", "e-1", "item", "e-2", "item"]
    )


def test_nothing_is_read_ahead_of_the_consumer() -> None:
    played = Played(streamed(*(block(2 * n) + block(2 * n + 1) for n in range(10))), ENDED)
    played.run(rules().run())
    reads = 0
    taken = 0
    for effect in played.effects:
        reads += isinstance(effect, Read)
        taken += isinstance(effect, Deliver)
        assert reads <= taken // 2 + 1


@pytest.mark.parametrize(
    ("keepalive", "silence"),
    [("1", 3), ("15", 45), ("", 45), ("0", 45), ("x", 45), ("86400", 1800), ("9" * 5000, 1800)],
)
def test_silence_is_three_keepalives(keepalive: str, silence: float) -> None:
    played = Played(streamed(block(1), keepalive=keepalive), ENDED)
    played.run(rules().run())
    assert {read.patience for read in played.of(Read)} == {silence}


def test_items() -> None:
    text = b"".join(
        [
            b'event: hub.gap\ndata: {"after":"e-1","resumes_at":null,"reason":"unknown"}\n\n',
            b'event: hub.gap\ndata: {"topic":"t","after":null,"resumes_at":"e-5","reason":"trimmed"}\n\n',
            b'event: hub.end\ndata: {"topic":"t","reason":"closed","last_id":"e-6"}\n\n',
            b'event: hub.removed\ndata: {"topic":"t","id":"e-9","time":"T","event":"hub.removed",',
            b'"data":"{\\"topic\\":\\"t\\",\\"id\\":\\"e-2\\"}"}\nid: e-9\n\n',
            b"event: hub.later\ndata: not JSON\nid: e-10\n\n",
            b'event: step\ndata: {"topic":"t","id":"e-11","time":"T","event":"step","data":"x","more":1}\nid: e-11\n\n',
        ]
    )
    played = Played(streamed(text), ENDED)
    played.run(rules().run())
    assert played.items == [
        Gap(None, "unknown", "e-1", None),
        Gap("t", "trimmed", None, "e-5"),
        End("t", "closed", "e-6"),
        Removed("t", "e-2", "e-9", "T"),
        Event("t", "e-11", "step", "x", "T"),
    ]
    assert [save.cursor for save in played.of(SaveCursor)] == ["e-9", "e-10", "e-11"]


@pytest.mark.parametrize("data", [b"x", b"7", b"[]", b"{}", b'{"topic":"t","id":7,"time":"","event":"","data":""}'])
@pytest.mark.parametrize("name", [b"message", b"hub.gap", b"hub.end", b"hub.removed"])
def test_what_is_no_envelope_is_an_error(name: bytes, data: bytes) -> None:
    with pytest.raises(HubProblem, match="no envelope"):
        Played(streamed(b"event: " + name + b"\ndata: " + data + b"\n\n"), ENDED).run(rules().run())


def test_a_wrong_address_or_option_is_an_error_of_the_caller() -> None:
    from gapless._hub import Hub

    wrong = [
        "hub",
        "ftp://hub",
        "http://",
        "http://hub:x",
        "http://hub/?q=1",
        "http://hub?",
        "http://hub/#a",
        "http://hub#",
    ]
    for url in [*wrong, "https://user:secret@hub", "https://user@hub", "https://@hub"]:
        with pytest.raises(ValueError, match=r".") as caught:
            Hub(url, None)
        assert "secret" not in str(caught.value)
    assert Hub("https://hub/base/", None).base == "https://hub/base"
    with pytest.raises(ValueError, match="delivery"):
        rules(delivery="exactly-once")


RECEIPT = Answer(
    200, {"content-type": "application/json"}, [b'{"topic":"t","id":"e-1",', b'"time":"T","subscribers":0}']
)


def published(played: Played, options: PublishOptions | None = None) -> Any:
    return played.run(_publish(hub(), b"{}", options or PublishOptions(), lambda: played.now, lambda: 0.0))


def test_a_publish_is_repeated_with_its_key() -> None:
    played = Played(
        DOWN, Answer(503), Answer(429, {"retry-after": "7"}), Answer(200, RECEIPT.headers, [b"{"], True), RECEIPT
    )
    assert published(played)["id"] == "e-1"
    assert len({request.headers["idempotency-key"] for request in played.of(Request)}) == 1
    assert played.delays == [0.5, 1, 7, 4]
    assert len(played.of(Close)) == 4


def test_a_publish_is_given_up_within_the_window_of_keys() -> None:
    played = Played()
    with pytest.raises(PublishUncertain) as caught:
        published(played, PublishOptions(key="k"))
    assert caught.value.key == "k"
    assert isinstance(caught.value.__cause__, NetworkError)
    assert 400 < played.now < 540
    # No attempt lasts past the end, but for the moment that the last one gets.
    for request, sent in zip(played.of(Request), played.sent, strict=True):
        assert request.patience <= max(540 - sent, 0.1)
    played = Played()
    with pytest.raises(PublishUncertain):
        published(played, PublishOptions(give_up_after=0.0))
    assert [request.patience for request in played.of(Request)] == [0.1]


def test_a_publish_that_the_hub_did_not_take_is_certain() -> None:
    draining = Answer(503, {"retry-after": "60"}, [b'{"code":"draining","title":"The hub is stopping"}'])
    with pytest.raises(HubProblem) as caught:
        published(Played(draining), PublishOptions(give_up_after=1.0))
    assert (caught.value.code, caught.value.retry_after) == ("draining", 60)
    for open_end in (Answer(503), Answer(503, {}, [b'{"code":"store-unavailable"}'])):
        with pytest.raises(PublishUncertain):
            published(Played(open_end, *[draining] * 9), PublishOptions(give_up_after=30.0))


def slept(played: Played, token: object = None) -> Any:
    """Publishes, by the two clocks of the player."""
    options = PublishOptions(key="k")
    return played.run(
        _publish(hub(token), b"{}", options, lambda: played.now, lambda: 0.0, wall=lambda: played.wall, take=_receipt)
    )


def test_a_publish_that_wakes_up_after_its_deadline_is_not_sent_again() -> None:
    draining = Answer(503, {}, [b'{"code":"draining"}'])
    for first, error in ((DOWN, PublishUncertain), (draining, HubProblem)):
        # Each of the clocks may be the one that has seen it.
        for clock in ("now", "wall"):
            played = Played(first, RECEIPT)
            setattr(played, f"frozen_{clock}", 600.0)
            with pytest.raises(error):
                slept(played)
            assert len(played.of(Request)) == 1


def test_a_publish_whose_token_comes_after_its_deadline_is_not_sent_again() -> None:
    def late() -> str:
        played.wall += 600.0
        return "b"

    played = Played(DOWN, Answer(401), RECEIPT, tokens=["a", late])
    with pytest.raises(PublishUncertain) as caught:
        slept(played, lambda: "")
    assert isinstance(caught.value.__cause__, HubProblem)
    assert len(played.of(Request)) == 2
    played = Played(Answer(401), RECEIPT, tokens=["a", late])
    with pytest.raises(HubProblem) as refused:
        slept(played, lambda: "")
    assert refused.value.status == 401
    assert len(played.of(Request)) == 1


def test_an_uncertain_publish_stays_one_whatever_ends_it() -> None:
    endings = [
        (Answer(403, {}, [b'{"code":"forbidden"}']), 403),
        (Answer(401), 401),
        (Answer(200, {"content-type": "text/html"}, [b"<h1>Welcome</h1>"]), 200),
        (Answer(200, {"content-type": "application/json"}, [b"{}"]), 200),
    ]
    for ending, status in endings:
        with pytest.raises(PublishUncertain) as caught:
            slept(Played(DOWN, ending))
        assert caught.value.key == "k"
        assert isinstance(caught.value.__cause__, HubProblem)
        assert caught.value.__cause__.status == status
    with pytest.raises(PublishUncertain) as caught:
        slept(Played(DOWN, Answer(401), tokens=["a", KeyError("signed out")]), lambda: "")
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(KeyError):
        slept(Played(RECEIPT, tokens=[KeyError("signed out")]), lambda: "")


def test_a_token_that_is_missing_for_now_is_asked_for_again() -> None:
    played = Played(RECEIPT, tokens=[DOWN, DOWN, "a"])
    assert slept(played, lambda: "").id == "e-1"
    assert played.delays == [0.5, 1]
    assert len(played.of(Request)) == 1
    # Nothing was sent, so it is certain.
    with pytest.raises(NetworkError):
        slept(Played(tokens=[DOWN] * 50), lambda: "")
    played = Played(streamed(block(1)), ENDED, tokens=[DOWN, "a"])
    played.run(rules(token=lambda: "").run())
    assert played.delays == [3, 3]


def test_the_headers_of_a_publish() -> None:
    played = Played(RECEIPT)
    published(played, PublishOptions(if_match="none", key="k"))
    (request,) = played.of(Request)
    assert (request.method, request.path, request.body) == ("POST", "/publish", b"{}")
    assert request.headers["if-match"] == '"none"'
    assert request.headers["idempotency-key"] == "k"
    played = Played(RECEIPT)
    published(played)
    assert "if-match" not in played.of(Request)[0].headers


def test_what_json_cannot_express_is_an_error_of_the_caller() -> None:
    for data, error in ((float("nan"), ValueError), (b"bytes", TypeError), ("\ud800", ValueError), ({1, 2}, TypeError)):
        with pytest.raises(error):
            encode({"topic": "t", "data": data})  # type: ignore[typeddict-item]
    assert encode({"topic": "t", "data": None, "event": None}) == b'{"topic":"t","data":null}'
    assert encode({"topic": "\u00e9", "data": {"a": (1, 2)}}) == '{"topic":"\u00e9","data":{"a":[1,2]}}'.encode()


def test_batches_have_bounds_and_a_key_each() -> None:
    def receipts(count: int) -> Answer:
        one = {"topic": "t", "id": "e-1", "time": "T", "subscribers": 0}
        return Answer(200, {"content-type": "application/json"}, [json.dumps({"events": [one] * count}).encode()])

    batches = Batches(hub(), "t")
    for n in range(4095):
        batches.add(batches.encode(n, None))
    assert not batches.full
    for n in range(10):
        batches.add(batches.encode(n, None))
    for _ in range(3):
        batches.add(batches.encode("x" * 600_000, "big"))
    assert batches.full is True
    sent: list[Effect] = []
    while not batches.empty:
        played = Played(DOWN, receipts(1))
        played.run(batches.send())
        first, again = played.of(Request)
        assert first == again
        sent.append(first)
    bodies = [json.loads(request.body or b"") for request in sent if isinstance(request, Request)]
    # What fits beside a large event goes out with it.
    assert [len(body) for body in bodies] == [4096, 10, 1, 1]
    keys = [request.headers["idempotency-key"] for request in sent if isinstance(request, Request)]
    assert all(one.split("-")[0] == two.split("-")[0] and one != two for one, two in pairwise(keys))
    assert not batches.full
    assert batches.last is not None


def test_a_batch_that_is_too_large_for_the_hub_goes_out_in_parts_in_order() -> None:
    taken: list[Any] = []
    tried: list[Request] = []

    class Taking(Played):
        """A hub that takes so many bytes."""

        def _do(self, effect: Effect) -> object:
            if not isinstance(effect, Request):
                return super()._do(effect)
            assert effect.body is not None
            tried.append(effect)
            if len(effect.body) > 1000:
                self._answers = [Answer(413, {}, [b'{"code":"too-large"}'])]
            else:
                events = [event["data"] for event in json.loads(effect.body)]
                taken.extend(events)
                receipts = [{"topic": "t", "id": data, "time": "T", "subscribers": 0} for data in events]
                body = json.dumps({"events": receipts}).encode()
                self._answers = [Answer(200, {"content-type": "application/json"}, [body])]
            return super()._do(effect)

    def send() -> None:
        while not batches.empty:
            Taking().run(batches.send())

    batches = Batches(hub(), "t")
    data = [f"{n}".ljust(50, ".") for n in range(100)]
    for one in data:
        batches.add(batches.encode(one, None))
    send()
    assert taken == data
    assert batches.last is not None
    assert batches.last.id == data[-1]
    assert len({request.headers["idempotency-key"] for request in tried}) == len(tried)
    # What it has learnt, it keeps.
    tried.clear()
    for one in data:
        batches.add(batches.encode(one, None))
    send()
    assert all(len(request.body or b"") <= 1000 for request in tried)
    # A single one that is too large is a failure; those before it are published.
    for one in ("a", "x" * 1000, "b"):
        batches.add(batches.encode(one, None))
    with pytest.raises(HubProblem) as caught:
        send()
    assert caught.value.status == 413
    assert taken[200:] == ["a"]


def test_a_publish_stream_is_given_up_within_its_time_and_does_not_tell_to_send_again() -> None:
    batches = Batches(hub(), "t", give_up_after=0.0)
    batches.add(batches.encode("x", None))
    played = Played()
    with pytest.raises(PublishUncertain) as caught:
        played.run(batches.send())
    assert len(played.of(Request)) == 1
    assert "again" not in str(caught.value)
    assert "the last events of the topic" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert "again with the key k" in str(PublishUncertain("k"))


def test_encode_batch() -> None:
    assert encode_batch([b"{}", b"{}"]) == b"[{},{}]"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"null",
        b"[]",
        b"{}",
        b'{"topic":"t","id":7,"time":"T","subscribers":0}',
        b'{"topic":"t","id":"e-1","time":"T"}',
        b'{"topic":"t","id":"e-1","time":"T","subscribers":"0"}',
        b'{"events":7}',
        b'{"events":[{}]}',
        b'{"events":[7]}',
    ],
)
def test_what_is_no_receipt_is_a_problem(body: bytes) -> None:
    for rule in (publish_one, publish_many):
        with pytest.raises(HubProblem, match="not the answer of a hub"):
            Played(Answer(200, {"content-type": "application/json"}, [body])).run(rule(hub(), b"", PublishOptions()))


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_time_to_give_up_after_is_a_number_that_is_not_negative(seconds: float) -> None:
    with pytest.raises(ValueError, match="give_up_after"):
        gapless.publish(URL, "t", "x", give_up_after=seconds)
    with pytest.raises(ValueError, match="give_up_after"):
        gapless.publish_batch(URL, [], give_up_after=seconds)
    with pytest.raises(ValueError, match="give_up_after"):
        gapless.stream(URL, "t", give_up_after=seconds)
    with pytest.raises(ValueError, match="give_up_after"):
        aio.stream(URL, "t", give_up_after=seconds)
