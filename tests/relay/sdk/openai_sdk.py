from common import PROMPT, serve
from openai import OpenAI

MESSAGES = [{"role": "user", "content": PROMPT}]


def client(job):
    return OpenAI(base_url=job["base_url"], api_key=job["token"], max_retries=job.get("retries", 0),
                  default_headers=job.get("headers"))


def keep_message(seen, message):
    seen.text += message.content or ""
    seen.reasoning += getattr(message, "reasoning_content", None) or ""
    for at, call in enumerate(message.tool_calls or []):
        seen.call_tool(at, call.id, call.function.name, call.function.arguments)


def keep_chunk(seen, chunk):
    seen.chunks.append(chunk.to_dict())
    seen.usage = chunk.usage.to_dict() if chunk.usage else seen.usage
    for choice in chunk.choices:
        delta = choice.delta
        seen.text += delta.content or ""
        seen.reasoning += getattr(delta, "reasoning_content", None) or ""
        for call in delta.tool_calls or []:
            function = call.function
            seen.call_tool(call.index, call.id, function.name, function.arguments)
        seen.finish = choice.finish_reason or seen.finish


def chat(job, seen):
    stream = client(job).chat.completions.create(
        model=job.get("model", "gpt-4o-mini"), messages=MESSAGES, stream=True, stream_options={"include_usage": True})
    seen.headers = dict(stream.response.headers)
    seen.take(stream, job, lambda chunk: keep_chunk(seen, chunk))


def chat_helper(job, seen):
    with client(job).chat.completions.stream(model=job.get("model", "gpt-4o-mini"), messages=MESSAGES,
                                             stream_options={"include_usage": True}) as stream:
        for event in stream:
            if event.type == "chunk":
                seen.chunks.append(event.chunk.to_dict())
        answer = stream.get_final_completion()
    keep_message(seen, answer.choices[0].message)
    seen.finish = answer.choices[0].finish_reason
    seen.usage = answer.usage.to_dict() if answer.usage else None


def chat_whole(job, seen):
    raw = client(job).chat.completions.with_raw_response.create(model=job.get("model", "gpt-4o-mini"), messages=MESSAGES)
    seen.headers = dict(raw.headers)
    answer = raw.parse()
    seen.chunks.append(answer.to_dict())
    keep_message(seen, answer.choices[0].message)
    seen.finish, seen.usage = answer.choices[0].finish_reason, answer.usage.to_dict()


def keep_response(seen, response):
    seen.finish = response.status
    seen.usage = response.usage.to_dict() if response.usage else None


def responses(job, seen):
    stream = client(job).responses.create(model=job.get("model", "gpt-5-mini"), input=PROMPT, stream=True)
    seen.headers = dict(stream.response.headers)

    def keep(event):
        seen.chunks.append(event.to_dict())
        if event.type == "response.output_text.delta":
            seen.text += event.delta
        elif event.type == "response.reasoning_summary_text.delta":
            seen.reasoning += event.delta
        elif event.type == "response.output_item.added" and event.item.type == "function_call":
            seen.call_tool(event.output_index, event.item.call_id, event.item.name)
        elif event.type == "response.function_call_arguments.delta":
            seen.call_tool(event.output_index, arguments=event.delta)
        elif event.type in ("response.completed", "response.failed", "response.incomplete"):
            keep_response(seen, event.response)

    seen.take(stream, job, keep)


def retrieve(job, seen):
    """The rest of the job's "response", after the number "after"."""
    after = {} if job.get("after") is None else {"starting_after": job["after"]}
    for event in client(job).responses.retrieve(job["response"], stream=True, **after):
        seen.chunks.append(event.to_dict())


def cancel(job, seen):
    seen.finish = client(job).responses.cancel(job["response"]).status


def responses_whole(job, seen):
    response = client(job).responses.create(model=job.get("model", "gpt-5-mini"), input=PROMPT)
    seen.chunks.append(response.to_dict())
    seen.text = response.output_text
    for item in response.output:
        if item.type == "reasoning":
            seen.reasoning += "".join(part.text for part in item.summary)
        elif item.type == "function_call":
            seen.call_tool(item.id, item.call_id, item.name, item.arguments)
    keep_response(seen, response)


def models(job, seen):
    seen.chunks = [model.to_dict() for model in client(job).models.list()]


serve({"chat": chat, "chat_helper": chat_helper, "chat_whole": chat_whole, "responses": responses,
       "responses_whole": responses_whole, "models": models, "retrieve": retrieve, "cancel": cancel})
