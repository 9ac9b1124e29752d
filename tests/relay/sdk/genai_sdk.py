import json

from common import PROMPT, serve
from google import genai
from google.genai import types


def client(job):
    options = types.HttpOptions(base_url=job["base_url"], headers=job.get("headers"), api_version=job.get("version"))
    return genai.Client(api_key=job["token"], http_options=options)


def keep(seen, answer):
    seen.chunks.append(answer.model_dump(mode="json", by_alias=True, exclude_none=True,
                                         exclude={"sdk_http_response", "parsed", "automatic_function_calling_history"}))
    if answer.sdk_http_response and answer.sdk_http_response.headers:
        seen.headers = dict(answer.sdk_http_response.headers)
    if answer.usage_metadata:
        seen.usage = answer.usage_metadata.model_dump(mode="json", by_alias=True, exclude_none=True)
    for candidate in answer.candidates or []:
        seen.finish = candidate.finish_reason.value if candidate.finish_reason else seen.finish
        for part in (candidate.content and candidate.content.parts) or []:
            if part.function_call:
                call = part.function_call
                seen.call_tool(len(seen.tools), call.id, call.name, json.dumps(call.args))
            elif part.thought:
                seen.reasoning += part.text or ""
            else:
                seen.text += part.text or ""


def generate(job, seen):
    gemini = client(job)  # without a name it would be closed at once
    stream = gemini.models.generate_content_stream(model=job.get("model", "gemini-2.5-flash"), contents=PROMPT)
    seen.take(stream, job, lambda chunk: keep(seen, chunk))


def generate_whole(job, seen):
    gemini = client(job)
    keep(seen, gemini.models.generate_content(model=job.get("model", "gemini-2.5-flash"), contents=PROMPT))


def models(job, seen):
    gemini = client(job)
    seen.chunks = [model.model_dump(mode="json", by_alias=True, exclude_none=True) for model in gemini.models.list()]


serve({"generate": generate, "generate_whole": generate_whole, "models": models})
