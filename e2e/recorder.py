"""A proxy between the functions and the emulator that writes down each call: whose it was, what it did to
what, and how it ended. On request it plays an outage of one action.

A function's name is in its user agent. What a call asks rights for is said as IAM says it: a transaction is
its single writes, a batch of messages is the right for one, and an index of a table is a resource beside it.
"""

import collections
import contextlib
import http.client
import json
import re

import server

Call = collections.namedtuple("Call", "function action resource status")

# How IAM names what stands in a transaction.
TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "ConditionCheck": "ConditionCheckItem",
}
# Answers and requests are handed on as they are, but for what belongs to the one connection.
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
# Nothing here waits longer than a receive from an SQS queue.
TIMEOUT_S = 30


def rights(target, body):
    """The actions that a call needs and the resources that it needs them for, both by their plain names."""
    service, operation = target.split(".", 1)
    if service.startswith("AmazonSQS"):
        yield f"sqs:{operation.removesuffix('Batch')}", body["QueueUrl"].rsplit("/", 1)[-1]
    elif operation.startswith("Transact"):
        for item in body["TransactItems"]:
            for kind, write in item.items():
                yield f"dynamodb:{TRANSACTION[kind]}", write["TableName"]
    elif operation in ("BatchGetItem", "BatchWriteItem"):
        for table in body["RequestItems"]:
            yield f"dynamodb:{operation}", table
    else:
        table = body["TableName"]
        index = body.get("IndexName")
        yield f"dynamodb:{operation}", f"{table}/index/{index}" if index else table


class Recorder:
    """The calls so far."""

    def __init__(self):
        self.calls = []
        self.url = None
        # The action that AWS does not do at present.
        self.out = None

    @contextlib.contextmanager
    def outage(self, action):
        """For as long as the block lasts, no call comes to this action."""
        self.out = action
        try:
            yield
        finally:
            self.out = None

    def of(self, function):
        """The rights that a function has used, each once."""
        return {(call.action, call.resource) for call in self.calls if call.function == function}


@contextlib.contextmanager
def recording(emulator_port):
    """A recorder in front of the emulator, for as long as the block lasts."""
    recorder = Recorder()

    class Proxy(server.Handler):
        # Head and body are two writes, and the second must not wait for an acknowledgement of the first.
        disable_nagle_algorithm = True

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            wanted = list(rights(self.headers["X-Amz-Target"], json.loads(body)))
            if recorder.out in (action for action, _ in wanted):
                self.send_error(503)
                return
            connection = http.client.HTTPConnection("127.0.0.1", emulator_port, timeout=TIMEOUT_S)
            with contextlib.closing(connection):
                # With the host that the call was signed for.
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
                connection.request("POST", self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
            self.record(wanted, answer.status)
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def record(self, wanted, status):
            agent = f"{self.headers.get('User-Agent')} {self.headers.get('x-amz-user-agent')}"
            name = re.search(r"\bapp/(\w+)", agent)
            for action, resource in wanted:
                recorder.calls.append(Call(name and name[1], action, resource, status))

    with server.serving(Proxy) as address:
        recorder.url = f"http://{address}"
        yield recorder
