import json

from anthropic import Anthropic
from common import PROMPT, serve


def client(job):
    return Anthropic(base_url=job["base_url"], api_key=job["token"], max_retries=job.get("retries", 0),
                     default_headers=job.get("headers"))


def request(job):
    return {"model": job.get("model", "claude-sonnet-5"), "max_tokens": 1024,
            "messages": [{"role": "user", "content": PROMPT}]}


def keep_message(seen, message):
    for block in message.content:
        if block.type == "text":
            seen.text += block.text
        elif block.type == "thinking":
            seen.reasoning += block.thinking
        elif block.type == "tool_use":
            seen.call_tool(block.id, block.id, block.name, json.dumps(block.input))
    seen.finish, seen.usage = message.stop_reason, message.usage.to_dict()


def messages(job, seen):
    stream = client(job).messages.create(stream=True, **request(job))
    seen.headers = dict(stream.response.headers)

    def keep(event):
        seen.chunks.append(event.to_dict())
        if event.type == "message_start":
            seen.usage = event.message.usage.to_dict()
        elif event.type == "content_block_start" and event.content_block.type == "tool_use":
            seen.call_tool(event.index, event.content_block.id, event.content_block.name)
        elif event.type == "content_block_delta":
            delta = event.delta
            if delta.type == "text_delta":
                seen.text += delta.text
            elif delta.type == "thinking_delta":
                seen.reasoning += delta.thinking
            elif delta.type == "input_json_delta":
                seen.call_tool(event.index, arguments=delta.partial_json)
        elif event.type == "message_delta":
            seen.finish = event.delta.stop_reason
            seen.usage = {**seen.usage, **event.usage.to_dict()}

    seen.take(stream, job, keep)


def messages_helper(job, seen):
    with client(job).messages.stream(**request(job)) as stream:
        seen.headers = dict(stream.response.headers)
        for event in stream:
            pass
        keep_message(seen, stream.get_final_message())


def messages_whole(job, seen):
    message = client(job).messages.create(**request(job))
    seen.chunks.append(message.to_dict())
    keep_message(seen, message)


def models(job, seen):
    seen.chunks = [model.to_dict(mode="json") for model in client(job).models.list()]


serve({"messages": messages, "messages_helper": messages_helper, "messages_whole": messages_whole, "models": models})
