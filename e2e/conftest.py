"""The deployed system, from outside: template.yaml as it is, the four functions as they are deployed, and
everything that an operator, a publisher, an academy and its endpoint do.

There is one emulator of AWS and one deployment for all tests, which run in the order of their files and build
on what those before them have left. To learn what is deployed, read them in this order:

- `test_1_deliveries`: the operator lets people in, an academy subscribes, the platform publishes over HTTP and
  over the event bus, and it arrives.
- `test_2_failures`: an endpoint that fails: attempts, an error, the circuit, and sending again.
- `test_3_workers`: a message that nobody can read, and workers that die: what the queues and the event source
  mappings do about them.
- `test_4_rights`: each function may do what it does, and little else.
- `test_5_logs`: what the logs say of all that: metrics, and one delivery followed by its id.
- `test_6_packages`: the functions' packages are small.
- `test_7_stack`: a parameter that changes, and a stack that is deleted and comes back to its tables.

A run leaves what the functions have logged in target/e2e/functions.log, by time, whether it has failed or not.

`stack` deploys, and says in `for_the_emulator` what of the expanded template it has to change for the emulator;
`emulator` is its process; `recorder` listens to the functions' calls of AWS; `receiver` is the academy's endpoint.

Run it with `make e2e-stack`. By hand, once that has built everything: `.venv/e2e/bin/python -m pytest e2e -k http`.
"""

import collections
import contextlib
import datetime
import functools
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import emulator as emulators
import pytest
import receiver as receivers
import recorder as recorders
import stack as stacks
from bounds import bounded

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOG = ROOT / "target/e2e/functions.log"
# What is said of it when the run has ended.
KEPT = pytest.StashKey()
# The whole run, of which the tests take about a minute: what hangs is ended, with everything it has started.
BOUND_S = 300
# The emulator looks into its queues once a second.
PATIENCE_S = 30

Answer = collections.namedtuple("Answer", "status body")


def pytest_addoption(parser):
    group = parser.getgroup("academy-hooks")
    group.addoption("--bootstraps", type=pathlib.Path, default=ROOT / "target/lambda")
    group.addoption("--command", type=pathlib.Path, default=ROOT / "target/debug/academy-hooks")


def pytest_configure():
    bounded(BOUND_S, functools.partial(pytest.exit, returncode=1))


def pytest_terminal_summary(terminalreporter, config):
    if kept := config.stash.get(KEPT, None):
        terminalreporter.write_line(kept)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A test that fails shows what the functions have logged meanwhile."""
    report = yield
    stack = item.funcargs.get("stack") if hasattr(item, "funcargs") else None
    if report.failed and stack:
        for function in stacks.FUNCTIONS:
            with contextlib.suppress(Exception):
                report.sections.append((f"log of {function}", "\n".join(stack.logs(function)[-60:])))
        log = stack.emulator.log.read_text(errors="replace")
        report.sections.append(("log of the emulator", log[-6000:]))
    return report


def until(what, timeout_s=PATIENCE_S):
    """Waits until `what()` is true, and returns it."""
    end = time.monotonic() + timeout_s
    while not (value := what()):
        assert time.monotonic() < end, f"not within {timeout_s} s"
        time.sleep(0.1)
    return value


@pytest.fixture(scope="session", name="until")
def until_fixture():
    return until


@pytest.fixture(scope="session")
def receiver():
    with receivers.receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def recorder():
    port = emulators.free_port()
    with recorders.recording(port) as recorder:
        recorder.emulator_port = port
        yield recorder


@pytest.fixture(scope="session")
def emulator(recorder):
    with emulators.running(recorder.emulator_port, recorder.url) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def stack(emulator, receiver, pytestconfig):
    parameters = {
        # The emulator runs the functions as processes of this machine.
        "Architecture": "x86_64",
        # Three attempts, within seconds.
        "RetrySchedule": "1s,2s",
        # The receiver is on this machine, whose addresses hooks may not call.
        "AllowTargets": receiver.address,
    }
    stack = stacks.deploy(emulator, pytestconfig.getoption("bootstraps"), parameters)
    yield stack
    pytestconfig.stash[KEPT] = keep_logs(stack)


def keep_logs(stack):
    """Writes what all functions have logged into one file, by time, and says how an event is followed there."""
    events = [(*event, name) for function, name in stacks.FUNCTIONS.items() for event in stack.events(function)]
    events.sort(key=lambda event: event[0])
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("w", encoding="utf-8") as log:
        for at_ms, message, name in events:
            at = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.timezone.utc)
            log.write(f"{at:%H:%M:%S}.{at_ms % 1000:03} {name:7} {message}\n")
    given_up = [message for _, message, name in events if name == "errors" and '"given up"' in message]
    ids = re.findall(r'"event_id":"([^"]+)"', "".join(given_up)) or ["ID"]
    return f"The functions' log; what became of one event: grep {ids[0]} {LOG}"


@pytest.fixture(scope="session")
def academy_hooks(stack, pytestconfig):
    """The operator's command, on the deployment: its output, if it ends well."""

    def run(*arguments):
        command = [pytestconfig.getoption("command"), *arguments, "--stack", stacks.STACK]
        done = subprocess.run(
            command, env=stack.emulator.environment(), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def call(stack):
    """A request to the API, from outside."""

    def call(method, path, token, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", stack.emulator.port, timeout=30)
        with contextlib.closing(connection):
            headers = {"Host": stack.api_host, "Authorization": f"Token {token}"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/v1/notify/{path}", content, headers)
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read()))

    return call


Tokens = collections.namedtuple("Tokens", "academy publisher superadmin")
ACADEMY = "downtown-campus"


@pytest.fixture(scope="session")
def tokens(academy_hooks):
    """Whom the operator lets in: an academy, the platform and a superadmin."""
    academy_hooks("academy", "add", ACADEMY, "--name", "Downtown Campus")
    academy_hooks("user", "add", ACADEMY)
    academy_hooks("user", "add", "platform", "--publisher")
    academy_hooks("user", "add", "admin", "--superadmin")
    return Tokens(*(academy_hooks("token", "issue", name) for name in (ACADEMY, "platform", "admin")))


@pytest.fixture
def subscribe(call, tokens, receiver):
    """Subscribes the academy; what a test has subscribed goes when it ends."""
    hooks = []

    def subscribe(event, path):
        answer = call(
            "POST", "hook/subscribe", tokens.academy, {"event": event, "target": receiver.url(path)}
        )
        assert answer.status == 201, answer
        hooks.append(answer.body["id"])
        return answer.body["id"]

    yield subscribe
    for hook in hooks:
        assert call("DELETE", f"hook/subscribe/{hook}", tokens.academy).status == 200


@pytest.fixture
def publish(call, tokens):
    """Publishes an event of the academy over HTTP."""

    def publish(event, payload, **more):
        body = {"event": event, "academy": ACADEMY, "payload": payload} | more
        answer = call("POST", "event", tokens.publisher, body)
        assert answer.status == 202, answer
        return answer.body

    return publish


@pytest.fixture
def put(stack):
    """Puts an event on the deployment's bus."""

    def put(source, name, detail):
        entry = {
            "EventBusName": stack.outputs["EventBusName"],
            "Source": source,
            "DetailType": name,
            "Detail": json.dumps(detail),
        }
        answer = stack.emulator.client("events").put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer

    return put


@pytest.fixture
def queue(stack):
    """A queue of the deployment, by its name in the template."""

    class Queue:
        def __init__(self, name):
            self.sqs = stack.emulator.client("sqs")
            self.url = stack.physical[name]

        def attributes(self):
            return self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]

        def count(self):
            """The messages in it, whether they wait, can be seen, or are in somebody's hands."""
            kinds = ("", "NotVisible", "Delayed")
            attributes = self.attributes()
            return sum(int(attributes[f"ApproximateNumberOfMessages{kind}"]) for kind in kinds)

        def send(self, *bodies):
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
            answer = self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)
            assert not answer.get("Failed"), answer

        def configure(self, **attributes):
            self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes=attributes)

        def empty(self):
            self.sqs.purge_queue(QueueUrl=self.url)

    return Queue


@pytest.fixture
def held(stack):
    """Holds an event source mapping back, so that what is sent meanwhile is one batch afterwards."""
    client = stack.emulator.client("lambda")

    @contextlib.contextmanager
    def held(mapping):
        identity = stack.physical[mapping]
        client.update_event_source_mapping(UUID=identity, Enabled=False)
        # A look into the queue may be under way.
        time.sleep(1.2)
        yield
        client.update_event_source_mapping(UUID=identity, Enabled=True)

    return held


@pytest.fixture
def kill_deliver(stack):
    """Kills every worker of `deliver`, as when Lambda takes the machine away."""

    def kill():
        for process in list(stack.emulator.workers(stack.physical["Deliver"])):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    return kill
