"""pymercure's reader, as its README shows it: `consumer.py URL TOPIC`."""

import json
import sys

from pymercure.consumer import Consumer

url, topic = sys.argv[1:]


def heard(message) -> None:
    print(json.dumps({"event": message.event_type, "id": message.message_id, "data": message.data}), flush=True)


Consumer(url, [topic], heard).start_consumption()
