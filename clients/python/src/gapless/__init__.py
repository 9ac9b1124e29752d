"""The client of gapless, an event hub with durable replay. `gapless.aio` is the same for asyncio."""

from ._client import PublishStream, Subscription, publish, publish_batch, stream, subscribe
from ._errors import GaplessError, HubProblem, NetworkError, PublishUncertain
from ._io import CursorStore, Token
from ._items import End, Event, Gap, Item, Removed
from ._publish import Data, Envelope, Receipt
from ._subscription import Connecting, Open, Status, Waiting

__all__ = [
    "Connecting",
    "CursorStore",
    "Data",
    "End",
    "Envelope",
    "Event",
    "Gap",
    "GaplessError",
    "HubProblem",
    "Item",
    "NetworkError",
    "Open",
    "PublishStream",
    "PublishUncertain",
    "Receipt",
    "Removed",
    "Status",
    "Subscription",
    "Token",
    "Waiting",
    "publish",
    "publish_batch",
    "stream",
    "subscribe",
]
