"""An academy's endpoint: keeps what it gets, and answers each path as the test has told it to."""

import base64
import collections
import contextlib
import hashlib
import hmac
import json
import time

import server

Delivery = collections.namedtuple("Delivery", "id event payload headers body")


class Receiver:
    """What came, by path, and what is to be answered."""

    def __init__(self):
        self.address = None
        self.deliveries = collections.defaultdict(list)
        # A path's status, or what is called when a request comes and returns the status.
        self.answers = {}

    def url(self, path):
        """Where a hook is to point for its deliveries to be found under `path`."""
        return f"http://{self.address}/{path}"

    def ids(self, path):
        """The ids of what came, in the order of coming, each as often as it came."""
        return [delivery.id for delivery in self.deliveries[path]]


def signed(delivery, secret):
    """Whether a delivery carries the signature of its body with this secret: Standard Webhooks, by hand."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    sent_at = delivery.headers["webhook-timestamp"]
    content = f"{delivery.id}.{sent_at}.".encode() + delivery.body
    signature = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return f"v1,{signature}" in delivery.headers["webhook-signature"].split() and abs(time.time() - int(sent_at)) < 300


@contextlib.contextmanager
def receiving():
    """A receiver on a free port, for as long as the block lasts."""
    receiver = Receiver()

    class Endpoint(server.Handler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.strip("/")
            headers = self.headers
            receiver.deliveries[path].append(
                Delivery(headers["webhook-id"], headers["webhook-event"], json.loads(body), headers, body)
            )
            answer = receiver.answers.get(path, 204)
            self.send_response(answer() if callable(answer) else answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with server.serving(Endpoint) as address:
        receiver.address = address
        yield receiver
