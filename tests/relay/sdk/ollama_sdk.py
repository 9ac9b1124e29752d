import json

from common import PROMPT, serve
from ollama import Client

MESSAGES = [{"role": "user", "content": PROMPT}]


def client(job):
    return Client(host=job["base_url"], headers={"Authorization": "Bearer " + job["token"], **(job.get("headers") or {})})


def keep(seen, answer):
    seen.chunks.append(answer.model_dump(mode="json", exclude_none=True))
    message = answer.message
    seen.text += message.content or ""
    seen.reasoning += message.thinking or ""
    for call in message.tool_calls or []:
        seen.call_tool(len(seen.tools), None, call.function.name, json.dumps(dict(call.function.arguments)))
    if answer.done:
        seen.finish = answer.done_reason
        seen.usage = {"prompt_eval_count": answer.prompt_eval_count, "eval_count": answer.eval_count}


def chat(job, seen):
    stream = client(job).chat(model=job.get("model", "qwen3:4b"), messages=MESSAGES, stream=True)
    seen.take(stream, job, lambda chunk: keep(seen, chunk))


def chat_whole(job, seen):
    keep(seen, client(job).chat(model=job.get("model", "qwen3:4b"), messages=MESSAGES))


def models(job, seen):
    seen.chunks = [model.model_dump(mode="json", exclude_none=True) for model in client(job).list().models]


serve({"chat": chat, "chat_whole": chat_whole, "models": models})
