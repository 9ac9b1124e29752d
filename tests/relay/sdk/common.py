"""What the scripts of Python's SDKs share: a job a line on stdin, a document a line on stdout.

A job is {"call", "base_url", "token"} with optional "model", "headers", "retries", "version" (of Gemini's
paths) and "take": after that many chunks the script closes the stream. A document is what the application saw, see Seen."""
import json
import sys

PROMPT = "Should I take a coat? 🧥"


class Seen:
    def __init__(self):
        self.chunks = []      # each chunk as the SDK gave it
        self.text = ""        # of the answer, concatenated
        self.reasoning = ""
        self.tools = []       # {"id", "name", "arguments": JSON text}
        self.usage = None     # the last counts, as the provider writes them
        self.finish = None    # why the model stopped, as the provider says it
        self.headers = {}     # of the response, where the SDK shows them
        self.error = None     # {"class", "status", "message"} of what it raised

    def take(self, stream, job, chunk):
        """Hands each chunk of a stream to `chunk`, up to the job's "take"."""
        for value in stream:
            chunk(value)
            if len(self.chunks) == job.get("take"):
                stream.close()
                break

    def call_tool(self, key, id=None, name=None, arguments=None):
        """A tool call, or more of its arguments: `key` tells calls apart."""
        tool = next((tool for tool in self.tools if tool["key"] == key), None)
        if tool is None:
            tool = {"key": key, "id": None, "name": None, "arguments": ""}
            self.tools.append(tool)
        tool["id"] = tool["id"] or id
        tool["name"] = tool["name"] or name
        tool["arguments"] += arguments or ""


def serve(calls):
    for line in sys.stdin:
        job, seen = json.loads(line), Seen()
        try:
            calls[job["call"]](job, seen)
        except Exception as error:
            status = getattr(error, "status_code", None) or getattr(error, "code", None)
            seen.error = {"class": type(error).__name__, "status": status if isinstance(status, int) else None,
                          "message": str(error)}
        for tool in seen.tools:
            tool.pop("key", None)
        print(json.dumps(vars(seen)), flush=True)
