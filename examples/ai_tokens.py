#!/usr/bin/env python3
"""Publishes an AI job's tokens as the model generates them, over one connection. Usage: ai_tokens.py JOB PROMPT"""
import http.client, json, os, sys, time
from urllib.parse import urlsplit


def model(prompt):  # Replace this with your model.
    for word in f"You asked: {prompt} The answer is 42.".split():
        time.sleep(0.05)
        yield word + " "


def events(topic, tokens):
    for token in tokens:
        yield json.dumps({"topic": topic, "data": token}).encode() + b"\n"
    yield json.dumps({"topic": topic, "event": "done", "data": "", "close": True}).encode() + b"\n"


if len(sys.argv) != 3:
    sys.exit(__doc__)
hub, token = urlsplit(os.environ.get("GAPLESS_URL", "http://127.0.0.1:8080")), os.environ.get("GAPLESS_TOKEN")
kind = http.client.HTTPSConnection if hub.scheme == "https" else http.client.HTTPConnection
connection, topic = kind(hub.hostname, hub.port), f"jobs/{sys.argv[1]}/tokens"
headers = {"Content-Type": "application/x-ndjson"} | ({"Authorization": f"Bearer {token}"} if token else {})
try:
    connection.request("POST", hub.path.rstrip("/") + "/publish", events(topic, model(sys.argv[2])), headers)
    for line in connection.getresponse():  # One receipt for each event, or a problem in its place.
        print(line.decode(), end="")
        problem = json.loads(line)
        if "detail" in (problem := problem.get("error", problem)):
            sys.exit(f"not published: {problem['detail']}")
except (OSError, ValueError, http.client.HTTPException) as error:
    sys.exit(f"the request to the hub at {hub.geturl()} failed: {error}")
