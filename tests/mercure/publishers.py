"""Publishes one update by each publisher of PyPI, as its README shows it, and prints the ids: `publishers.py URL KEY`."""

import asyncio
import json
import sys

import jwt
from flask import Flask
from flask_mercure_sse import MercureSSE
from mercure_publisher import AsyncMercurePublisher, MercureConfig, MercurePublisher
from pymercure.message import Message
from pymercure.publisher.sync import SyncPublisher

url, key = sys.argv[1:]
token = jwt.encode({"mercure": {"publish": ["*"]}}, key, algorithm="HS256")


def told(client: str, answer: str) -> None:
    print(json.dumps({"client": client, "id": answer}), flush=True)


config = MercureConfig(hub_url=url, publisher_jwt_key=key, publish_topics=["*"])
with MercurePublisher(config) as publisher:
    topics = ["https://example.com/clients/1", "https://example.com/clients/alternate"]
    told("mercure-publisher", publisher.publish(topics, {"from": "mercure-publisher"}, type="note", retry=5000))


async def publish() -> None:
    async with AsyncMercurePublisher(config) as publisher:
        answer = await publisher.publish("https://example.com/clients/1", {"from": "async"}, id="urn:own", private=True)
        told("mercure-publisher, async", answer)


asyncio.run(publish())

message = Message(["https://example.com/clients/1"], json.dumps({"from": "pymercure"}))
told("pymercure", SyncPublisher(url, token).publish(message))

app = Flask("app")
app.config["SECRET_KEY"] = key
mercure = MercureSSE(app, hub_url=url, publisher_jwt=token)
with app.app_context():
    told("flask-mercure-sse", str(mercure.publish("https://example.com/clients/1", {"from": "flask"})))
