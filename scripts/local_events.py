"""Runs every file of events/ through `cargo lambda invoke`, against `cargo lambda watch` and the services of
`academy-hooks serve`, and holds each answer to events/outcomes.json. Then it asks the watcher by path, as `curl`
would, whether a request reaches the function that it is for.

usage: local_events.py SERVER
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
EVENTS = ROOT / "events"
# The first call of a function builds it.
BUILD_S = 900
START_S = 60
STOP_S = 10
# Requests by path: which function answers, and how.
ROUTED = [
    ("GET", "/health", "manage", 200),
    ("GET", "/v1/notify/hook/subscribe", "manage", 401),
    ("GET", "/v1/notify/hook/subscribe/1", "manage", 401),
    ("POST", "/v1/notify/event", "ingest", 401),
    ("POST", "/v1/notify/change", "ingest", 401),
]


def main(server):
    def end(number, _):
        sys.exit(f"ended by {signal.Signals(number).name}")

    # Through the blocks below, which end what they have started.
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGALRM, end)
    signal.alarm(BUILD_S + START_S)
    with tempfile.TemporaryDirectory() as folder, serving(server, pathlib.Path(folder)) as services:
        environment = os.environ | services
        with watching(environment, pathlib.Path(folder)) as port:
            for outcome in json.loads((EVENTS / "outcomes.json").read_text(encoding="utf-8")):
                check(outcome, invoke(outcome["event"], port, environment))
            for method, path, function, status in ROUTED:
                found = request(method, path, port)
                expect(found == status, f"{method} {path}: {found}, and not {function}'s {status}")
                print(f"{method} {path}: {status}", flush=True)
    print("every event file has come to what is said of it")


@contextlib.contextmanager
def serving(server, folder):
    """`serve` with the people and hooks that the event files are about; its variables."""
    command = [server, "serve", "--in-memory", "--addr", "127.0.0.1:0", "--fixtures", EVENTS / "fixtures.json"]
    with running(command, os.environ, folder / "serve.log") as log:
        # The last line that it prints when it is ready.
        until(lambda: "DEAD_EVENTS_QUEUE_URL" in log.read_text(encoding="utf-8"), "serve is not ready", log)
        yield dict(re.findall(r"^\s*export (\w+)=(\S+)$", log.read_text(encoding="utf-8"), re.MULTILINE))


@contextlib.contextmanager
def watching(environment, folder):
    """`cargo lambda watch`; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # It listens on every address unless told otherwise.
    command = ["cargo", "lambda", "watch", "-A", "127.0.0.1", "-P", str(port), "--ignore-changes"]
    with running(command, environment, folder / "watch.log") as log:
        until(lambda: is_listening(port), "cargo lambda watch is not ready", log)
        yield port


def is_listening(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def until(is_so, complaint, log):
    end = time.monotonic() + START_S
    while not is_so():
        expect(time.monotonic() < end, f"{complaint}:\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.1)


@contextlib.contextmanager
def running(command, environment, log):
    """A process, for as long as the block lasts; then it is ended, with every process below it."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=output, stderr=output)
    try:
        yield log
    finally:
        below = list(descendants(process.pid))
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        process.kill()
        process.wait()
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def descendants(pid):
    """The processes below a process: the watcher starts functions in groups of their own."""
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    for child in map(int, children.stdout.split()):
        yield child
        yield from descendants(child)


def invoke(event, port, environment):
    """The answer of the function that an event file is for."""
    file = EVENTS / f"{event}.json"
    function = event.partition("/")[0]
    command = ["cargo", "lambda", "invoke", "-A", "127.0.0.1", "-P", str(port), "--data-file", file, function]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    expect(done.returncode == 0, f"{event}: {done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def check(outcome, answer):
    """Holds an answer to what is said of its event."""
    event = outcome["event"]
    expect(answer.get("statusCode") == outcome.get("status"), f"{event}: {answer}")
    failures = answer.get("batchItemFailures")
    again = None if failures is None else [item["itemIdentifier"] for item in failures]
    expect(again == outcome.get("again"), f"{event}: {answer}")
    if "body" in outcome:
        expect(has(json.loads(answer["body"]), outcome["body"]), f"{event}: {answer['body']}")
    print(f"{event}: {'again ' + str(again) if again is not None else answer['statusCode']}", flush=True)


def has(found, wanted):
    """Whether a value has all that another has."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and has(found[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(has, found, wanted))
    return found == wanted


def request(method, path, port):
    """The status that a request by path gets."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, data=b"{}" if method == "POST" else None)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def expect(is_so, complaint):
    if not is_so:
        sys.exit(complaint)


if __name__ == "__main__":
    main(*sys.argv[1:])
