"""Has every file of events/ handled by its function in `cargo lambda watch`, over the tables and queues of
`academy-hooks serve`, and holds what comes of it to events/outcomes.json.

usage: local_events.py SERVER
"""

import contextlib
import functools
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
# What a request by path is answered without a token. But for the last, which is nobody's, each path is known to
# one function only, and the other would answer 404.
ROUTES = {
    "/health": 200,
    "/v1/notify/hook/subscribe": 401,
    "/v1/notify/hook/subscribe/1": 401,
    "/v1/notify/event": 405,
    "/v1/notify/change": 405,
    "/": 404,
}
# In seconds: for all of it, for a start, for one answer (the first one builds what is not built), for an end.
IN_ALL, START, ANSWER, END = 900, 30, 300, 45


@contextlib.contextmanager
def running(command, environment):
    """A process in a session of its own, and the file that it writes to, for as long as the block lasts."""
    with tempfile.NamedTemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process, pathlib.Path(output.name)
        except Exception:
            print(pathlib.Path(output.name).read_text(encoding="utf-8", errors="replace"), file=sys.stderr)
            raise
        finally:
            end(process)


@contextlib.contextmanager
def uninterrupted():
    """Holds off what would end this, for as long as the block lasts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def end(process):
    """Ends a process as Ctrl-C does, or, if that is not enough, with everything that it has started."""
    with uninterrupted():
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END)
        except subprocess.TimeoutExpired:
            for pid in [*descendants(process.pid), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def descendants(pid):
    """The processes that a process has started, and those that they have."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=True, text=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    found = [pid]
    for parent in found:
        found += [child for child, of in pairs if of == parent]
    return found[1:]


def wait_until(ready, process, what):
    """What `ready` returns as soon as it is something."""
    limit = time.monotonic() + START
    while time.monotonic() < limit and process.poll() is None:
        if value := ready():
            return value
        time.sleep(0.05)
    raise RuntimeError(f"{what} does not start")


def exports(output):
    """What `serve` prints for other programs, once it has printed everything."""
    text = output.read_text(encoding="utf-8")
    return "Stop with Ctrl-C" in text and dict(re.findall(r"export (\w+)=(.*)", text))


@contextlib.contextmanager
def serving(server, *options):
    """The environment of programs that are to work on what a `serve` with the event files' fixtures keeps."""
    # What is set up for AWS here must play no part.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    fixtures = ["--fixtures", EVENTS / "fixtures.json"]
    with running([server, "serve", "--in-memory", "--addr", "127.0.0.1:0", *fixtures, *options], ours) as (
        process,
        output,
    ):
        yield ours | wait_until(lambda: exports(output), process, "serve")


@contextlib.contextmanager
def listening(command, port, environment):
    """A process that listens on a port of loopback, for as long as the block lasts."""
    with running(command, environment) as (process, _):
        wait_until(lambda: is_open(port), process, " ".join(command))
        yield


def is_open(port):
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=ANSWER) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def invoke(address, environment, event):
    """What a function of `cargo lambda watch` answers to an event file, or why it does not."""
    function = event.split("/")[0]
    command = ["cargo", "lambda", "invoke", *address, function, "--data-file", EVENTS / f"{event}.json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, timeout=ANSWER, capture_output=True, text=True)
    if done.returncode:
        return done.stderr
    return json.loads(done.stdout)


def has(found, wanted):
    """Whether a value has all that another has."""
    match found, wanted:
        case dict(), dict():
            return all(name in found and has(found[name], value) for name, value in wanted.items())
        case list(), list():
            return len(found) == len(wanted) and all(map(has, found, wanted))
    return found == wanted


def is_right(answer, outcome):
    """Whether an answer is what `outcomes.json` says."""
    match answer:
        case {"statusCode": status, "body": body}:
            return status == outcome.get("status") and has(json.loads(body), outcome.get("body", {}))
        case {"batchItemFailures": failures}:
            return {failure["itemIdentifier"] for failure in failures} == set(outcome.get("again", ["none"]))
    return False


def read_outcomes():
    """What comes of each event file, in the order in which they are handled."""
    outcomes = json.loads((EVENTS / "outcomes.json").read_text(encoding="utf-8"))
    listed = {outcome["event"] for outcome in outcomes}
    there = {path.relative_to(EVENTS).with_suffix("").as_posix() for path in EVENTS.glob("*/*.json")}
    if listed != there:
        raise RuntimeError(f"outcomes.json is not about the files there are: {listed ^ there}")
    return outcomes


def is_wrong(answer, outcome):
    """Whether an answer is not what `outcomes.json` says, which is also shown."""
    right = is_right(answer, outcome)
    print("ok   " if right else "WRONG", outcome["event"], "" if right else answer, flush=True)
    return not right


def wrong_events(invoke):
    """How many event files do not come to what they should, when each is handed to this."""
    return sum(is_wrong(invoke(outcome["event"]), outcome) for outcome in read_outcomes())


def wrong_routes(port):
    """How many paths do not lead to their functions."""
    wrong = 0
    for path, wanted in ROUTES.items():
        found = status(f"http://127.0.0.1:{port}{path}")
        print("ok   " if found == wanted else "WRONG", "GET", path, found, flush=True)
        wrong += found != wanted
    return wrong


def main():
    (server,) = sys.argv[1:]
    with serving(server) as environment:
        port = free_port()
        # It listens on every address unless it is told one.
        address = ["-A", "127.0.0.1", "-P", str(port)]
        with listening(["cargo", "lambda", "watch", *address, "--ignore-changes"], port, environment):
            wrong = wrong_events(functools.partial(invoke, address, environment)) + wrong_routes(port)
    sys.exit(f"{wrong} are wrong" if wrong else 0)


def stop(number, _):
    sys.exit(128 + number)


# What ends this is held off while it ends what it has started.
ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM]


def within_its_time(main):
    """Runs a `main`, which is ended when it takes too long, and ends what it has started however it ends."""
    for number in ENDING:
        signal.signal(number, stop)
    signal.alarm(IN_ALL)
    main()


if __name__ == "__main__":
    within_its_time(main)
