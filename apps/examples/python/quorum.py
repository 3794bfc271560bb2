"""A client of Quorum's HTTP API, made of the OpenAPI document that every replica serves. Python's own library is enough.

    client = Client(["http://127.0.0.1:7401", "http://127.0.0.1:7402", "http://127.0.0.1:7403"])
    client.call("records.put", namespace="notes", key="first", body=b"hello")

What can be called, where it goes and what it takes is in the document, not here: an operation by its name, its
parameters by theirs, and what is none of them is an error before anything is sent.
"""

import json
import urllib.error
import urllib.parse
import urllib.request


class Problem(Exception):
    """An error of the API: problem details (RFC 9457), with `error` for programs and `message` for people."""

    def __init__(self, status, details):
        super().__init__(details.get("message", f"status {status}"))
        self.status = status
        self.error = details.get("error")
        self.details = details


class Client:
    """Asks the first replica that answers. A write is repeated at another one only under a stamp: then it is one write."""

    def __init__(self, urls, timeout=10):
        self.urls = list(urls)
        self.timeout = timeout
        document = self._anywhere(lambda url: self._send(url + "/openapi.json", "GET"))
        self.operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }

    def call(self, name, body=None, **given):
        """Calls an operation at a replica that answers: bytes, JSON or lines, as the document says."""
        method, path, operation = self.operations[name]
        query, headers = {}, {}
        for parameter in operation.get("parameters", []):
            value = given.pop(parameter["name"].replace("-", "_"), None)
            if value is None:
                if parameter["required"]:
                    raise TypeError(f"{name} needs {parameter['name']}")
                continue
            text = json.dumps(value) if isinstance(value, bool) else str(value)
            if parameter["in"] == "path":
                path = path.replace("{%s}" % parameter["name"], urllib.parse.quote(text, safe=""))
            elif parameter["in"] == "query":
                query[parameter["name"]] = text
            else:
                headers[parameter["name"]] = text
        if given:
            raise TypeError(f"{name} does not take {', '.join(sorted(given))}")
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        data = None
        if "requestBody" in operation:
            headers["content-type"], data = packed(next(iter(operation["requestBody"]["content"])), body)
        is_stamped = "quorum-stamp" in headers or (name == "batch.commit" and all("stamp" in line for line in body))
        return self._anywhere(
            lambda url: self._send(url + target, method, headers, data),
            method == "GET" or is_stamped or name.startswith("stamps."),
        )

    def put(self, namespace, key, value):
        """Writes a record, once, at however many replicas it has to be tried."""
        drawn = self.call("stamps.draw", body={"keys": [{"namespace": namespace, "key": key}]})
        return self.call("records.put", namespace=namespace, key=key, body=value, quorum_stamp=drawn["stamp"])

    def records(self, namespace, **part):
        """The records of a namespace in the order of their keys, page after page."""
        after = {}
        while True:
            page = self.call("records.listNamespace", namespace=namespace, **after, **part)
            yield from page["records"]
            if "next" not in page:
                return
            after = {"after": page["next"]}

    def _anywhere(self, ask, may_repeat=True):
        for i, url in enumerate(self.urls):
            try:
                return ask(url)
            except (Problem, OSError) as error:
                # 503 says that nothing was written, and who does not listen has written nothing.
                is_nothing = isinstance(getattr(error, "reason", error), ConnectionRefusedError)
                is_nothing = is_nothing or isinstance(error, Problem) and error.status == 503
                is_open = may_repeat and not isinstance(error, Problem)
                if not (is_nothing or is_open) or i == len(self.urls) - 1:
                    raise

    def _send(self, url, method, headers={}, data=None):
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return unpacked(answer.headers.get_content_type(), answer.read())
        except urllib.error.HTTPError as error:
            raise Problem(error.code, json.loads(error.read() or b"{}")) from None


def packed(content_type, body):
    """A body as bytes of the type that the document names."""
    if content_type == "application/json":
        return content_type, json.dumps(body).encode()
    if content_type == "application/x-ndjson":
        return content_type, b"".join(json.dumps(line).encode() + b"\n" for line in body)
    return content_type, body


def unpacked(content_type, data):
    """What the bytes of an answer say."""
    if content_type == "application/json":
        return json.loads(data)
    if content_type == "application/x-ndjson":
        return [json.loads(line) for line in data.splitlines()]
    return data
