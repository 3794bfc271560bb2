"""Writes some notes, reads them back, and follows what was written: `python3 notes.py URL URL URL`."""

import base64
import json
import sys

from quorum import Client, Problem

client = Client(sys.argv[1:])

receipt = client.put("notes", "first / 1", "grüß".encode())
print(json.dumps({"acked": len(receipt["acked"])}))

value = client.call("records.get", namespace="notes", key="first / 1", consistency="linearizable")
print(json.dumps({"read": value.decode()}))

lines = [{"namespace": "notes", "key": f"k{i:03}", "json": {"n": i}} for i in range(250)]
answers = client.call("batch.commit", body=[*lines, {"namespace": "", "key": "k", "text": "v"}])
print(json.dumps({"statuses": sorted({answer["status"] for answer in answers}), "answers": len(answers)}))

newest = answers[-2]["receipt"]["writeId"]
client.call("records.get", namespace="notes", key="k249", atLeast=newest)
listed = list(client.records("notes", prefix="k", limit=100))
print(json.dumps({"listed": len(listed), "last": base64.b64decode(listed[-1]["value"]).decode()}))

changes = client.call("changes.follow", namespace="notes", until="now")
print(json.dumps({"changes": len({change["key"] for change in changes if "key" in change})}))

try:
    client.call("records.get", namespace="notes", key="none")
except Problem as problem:
    print(json.dumps({"status": problem.status, "error": problem.error}))

try:
    client.call("records.get", namespace="notes", key="none", consistancy="local")
except TypeError as error:
    print(json.dumps({"refused": str(error)}))
