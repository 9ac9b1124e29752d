"""Judges exchanges with a hub by its description: `judge.py DOCUMENT < EXCHANGES`, one exchange a line of JSON. Prints what is wrong.

The description is read strictly: a member that it does not have is an error, though it tells clients to ignore such members. And
it must not describe what never comes: every answer but errors, every member, and every code must be among the exchanges.
"""

import copy
import json
import re
import sys

from jsonschema_rs import Draft202012Validator

# Schemas of what is sent to a hub, by their names.
REQUESTS = {"Envelope", "EventsRequest", "TopicSettings", "NewRun", "MercureUpdate"}


# Members that are described and do not come here, with the reason.
UNSEEN = {
    "Removed.topic": "the data of an event, which is text",
    "Removed.id": "the same",
    "ServerSentEvent": "no JSON",
    "MercureSubscriptions.next": "no list of these has a megabyte",
    "EventEnvelope.metadata": "no event of these requests is published by another protocol",
}


# Problems that do not come here, with the reason.
UNSEEN_CODES = {
    **dict.fromkeys(["over-capacity", "rate-limited", "draining"], "the hub is neither busy nor stopped"),
    **dict.fromkeys(["store-unavailable", "storage-full"], "the disk is well"),
    **dict.fromkeys(["upstream-failed", "upstream-timeout", "upstream-unreachable"], "the provider is there"),
    "request-timeout": "no body pauses for 30 s",
    "host-unknown": "the requests name the hub by its address",
    "keys-unavailable": "there is no issuer",
    "backup-running": "there is one backup",
}


def closed(value):
    """The same schemas, in which objects have only the members that are described."""
    if isinstance(value, list):
        return [closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: closed(item) for key, item in value.items()}
    if isinstance(value.get("properties"), dict) and value.get("type") in ("object", ["object", "null"]):
        value.setdefault("additionalProperties", False)
    return value


class Description:
    def __init__(self, document):
        self.document = document
        self.components = closed(document["components"])
        self.validators = {}
        # The most particular path first: `/runs/active` before `/runs/{run}`.
        self.paths = sorted(document["paths"], key=lambda path: (path.count("{"), -len(path)))
        self.seen = set()
        self.members = set()
        self.codes = set()

    def resolved(self, value):
        while "$ref" in value:
            kind, name = value["$ref"].split("/")[2:]
            value = self.document["components"][kind][name]
        return value

    def operation(self, method, target):
        path = target.split("?")[0]
        # The last parameter of a path may have slashes, if no other path has as many.
        for final in ("[^/]+", ".+"):
            for template in self.paths:
                *parts, last = re.split(r"(\{[^}]*\})", template)
                texts = [re.escape(part) if not part.startswith("{") else "[^/]+" for part in parts + [last]]
                if parts and last == "":
                    texts[-2] = final
                if re.fullmatch("".join(texts), path):
                    return template, self.document["paths"][template].get(method.lower())
        return None, None

    def errors(self, schema, value):
        key = json.dumps(schema, sort_keys=True)
        if key not in self.validators:
            whole = {**closed(copy.deepcopy(schema)), "components": self.components}
            self.validators[key] = Draft202012Validator(whole, validate_formats=True)
        validator = self.validators[key]
        found = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]
        if not found:
            self.note(schema, value)
        return found

    def note(self, schema, value, name="?"):
        """Notes the members of `value` by the schemas that have them."""
        if "$ref" in schema:
            name = schema["$ref"].split("/")[-1]
            return self.note(self.document["components"]["schemas"][name], value, name)
        for choice in schema.get("oneOf", []):
            if not self.errors_quietly(choice, value):
                self.note(choice, value, name)
        if isinstance(value, dict):
            for key, item in value.items():
                known = schema.get("properties", {}).get(key)
                if known is not None:
                    self.members.add(f"{name}.{key}")
                    self.note(known, item, f"{name}.{key}")
                elif isinstance(schema.get("additionalProperties"), dict):
                    self.note(schema["additionalProperties"], item, name)
        if isinstance(value, list) and "items" in schema:
            for item in value:
                self.note(schema["items"], item, name)

    def errors_quietly(self, schema, value):
        whole = {**closed(copy.deepcopy(schema)), "components": self.components}
        return not Draft202012Validator(whole).is_valid(value)

    def judge(self, exchange):
        method, status, headers, body = (exchange[key] for key in ("method", "status", "headers", "body"))
        template, operation = self.operation(method, exchange["target"])
        essence = headers.get("content-type", "").split(";")[0]
        if operation is None:
            allowed = self.document["x-problem-codes"]
            if method in ("HEAD", "OPTIONS") and status < 400:
                return []
            return self.problem(json.loads(body), allowed)
        name = operation["operationId"]
        known = operation["responses"].get(str(status), operation["responses"].get("default"))
        if known is None:
            return [f"{name} has no answer {status}"]
        response = self.resolved(known)
        self.seen.add((name, str(status) if str(status) in operation["responses"] else "default", essence))
        wrong = []
        for header, described in response.get("headers", {}).items():
            described = self.resolved(described)
            text = headers.get(header.lower())
            if text is None:
                wrong += [f"{header} is missing"] if described.get("required") else []
            else:
                value = int(text) if described["schema"]["type"] == "integer" else text
                wrong += [f"{header}: {error}" for error in self.errors(described["schema"], value)]
        content = response.get("content", {})
        if not content:
            return wrong + ([f"{status} has a body"] if body else [])
        media = content.get(essence, content.get("*/*"))
        if media is None:
            return wrong + [f"{essence!r} is not among {list(content)}"]
        if essence.endswith(("/json", "+json")):
            value = json.loads(body)
            wrong += self.errors(media["schema"], value)
            if essence == "application/problem+json":
                wrong += self.problem(value, response["x-problem-codes"])
        if essence == "application/x-ndjson" and "x-item-schema" in media:
            for line in filter(str.strip, body.split("\n")):
                wrong += self.errors(media["x-item-schema"], json.loads(line))
        return wrong

    def problem(self, value, allowed):
        self.codes.add(value["code"])
        wrong = self.errors({"$ref": "#/components/schemas/Problem"}, value)
        return wrong + ([] if value["code"] in allowed else [f"{value['code']} is not among {allowed}"])

    def unseen(self):
        """What is described and never came."""
        missing = []
        for template, item in self.document["paths"].items():
            for operation in item.values():
                for status, response in operation["responses"].items():
                    response = self.resolved(response)
                    if status == "default" or int(status) >= 400:
                        continue
                    for media in response.get("content", {"": {}}):
                        name = operation["operationId"]
                        came = {content for seen, code, content in self.seen if (seen, code) == (name, status)}
                        if not (media in came or (media in ("", "*/*") and came)):
                            missing.append(f"{name}: {status} {media}")
        for name, schema in self.document["components"]["schemas"].items():
            for member in own_members(schema, name):
                if name not in REQUESTS and member not in self.members and not {name, member} & UNSEEN.keys():
                    missing.append(f"{member}: described, and in no answer")
        codes = set(self.document["components"]["schemas"]["Problem"]["properties"]["code"]["x-extensible-enum"])
        missing += [f"{code}: not asked for, and not excused" for code in codes - self.codes - UNSEEN_CODES.keys()]
        return missing

    def examples(self):
        """Examples that are not valid."""
        return [f"{place}: {error}" for place, schema, value in examples(self.document) for error in self.errors(schema, value)]


def own_members(schema, name):
    """The names of all members that a schema has itself."""
    for member, inner in schema.get("properties", {}).items():
        yield f"{name}.{member}"
        yield from own_members(inner, f"{name}.{member}")
    for inner in schema.get("oneOf", []):
        yield from own_members(inner, name)
    if "items" in schema:
        yield from own_members(schema["items"], name)


def examples(value, place="#"):
    """Every example, with its schema."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from examples(item, f"{place}/{index}")
    if not isinstance(value, dict):
        return
    if "schema" in value:
        if "example" in value:
            yield place, value["schema"], value["example"]
        for example in value.get("examples", {}).values():
            yield place, value["schema"], example["value"]
    elif isinstance(value.get("examples"), list):
        for example in value["examples"]:
            yield place, {key: item for key, item in value.items() if key != "examples"}, example
    for key, item in value.items():
        if key not in ("example", "examples"):
            yield from examples(item, f"{place}/{key}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        description = Description(json.load(file))
    wrong = [f"example {error}" for error in description.examples()]
    description.members.clear()
    count = 0
    for line in sys.stdin:
        exchange = json.loads(line)
        count += 1
        shown = f"{exchange['method']} {exchange['target']} → {exchange['status']}"
        wrong += [f"{shown}: {error}" for error in description.judge(exchange)]
    wrong += description.unseen()
    answers, members, codes = map(len, (description.seen, description.members, description.codes))
    print("\n".join(wrong) or f"{count} exchanges, {answers} answers, {members} members, {codes} codes")
    sys.exit(bool(wrong))


main()
