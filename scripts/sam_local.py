"""Has every file of events/ handled by its function in `sam local start-lambda`, over the tables and queues of
`academy-hooks serve`, and holds what comes of it to events/outcomes.json; then asks for paths of the API in
`sam local start-api`, and has one file handled by `sam local invoke`.

It needs Docker, and what `make local-template` leaves.

usage: sam_local.py SERVER
"""

import contextlib
import functools
import json
import subprocess
import sys
import urllib.error
import urllib.request

import docker_gateway
from local_events import (
    ANSWER,
    EVENTS,
    ROOT,
    free_port,
    is_wrong,
    listening,
    read_outcomes,
    serving,
    uninterrupted,
    within_its_time,
    wrong_events,
    wrong_routes,
)

# The environment of samconfig.toml, and no names but this machine's, so that targets which are somebody's are
# neither called nor waited for.
OPTIONS = ["--config-env", "local", "--container-dns", "127.0.0.1"]


def function_of(event):
    """The function that an event file is for, as the template names it."""
    return event.split("/")[0].capitalize()


def invoke(port, event):
    """What a function of `sam local start-lambda` answers to an event file, or why it does not."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/2015-03-31/functions/{function_of(event)}/invocations",
        data=(EVENTS / f"{event}.json").read_bytes(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return error.read().decode(errors="replace")


def invoke_once(environment, event):
    """What `sam local invoke` prints for an event file, or why it does not."""
    command = ["sam", "local", "invoke", function_of(event), *OPTIONS, "--event", EVENTS / f"{event}.json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, timeout=ANSWER, capture_output=True, text=True)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return done.stdout + done.stderr


@contextlib.contextmanager
def sam_local(command, environment):
    """The port of one of SAM's servers, for as long as the block lasts."""
    port = free_port()
    command = ["sam", "local", command, *OPTIONS, "--port", str(port)]
    with listening(command, port, environment):
        yield port


@contextlib.contextmanager
def no_container_left(environment):
    """Removes the containers that SAM leaves when it is not let to its end: those for this very `serve`."""
    ours = f"AWS_ENDPOINT_URL_SQS={environment['AWS_ENDPOINT_URL_SQS']}"
    try:
        yield
    finally:
        with uninterrupted():
            listed = ["docker", "ps", "--all", "--quiet", "--filter", "label=sam.cli.container.type=lambda"]
            for container in docker_gateway.output_of(listed).split():
                shown = docker_gateway.output_of(["docker", "inspect", "--format", "{{json .Config.Env}}", container])
                if ours in json.loads(shown):
                    docker_gateway.output_of(["docker", "rm", "--force", container])


def main():
    (server,) = sys.argv[1:]
    gateway = docker_gateway.gateway()
    with serving(server, "--aws-addr", gateway) as environment, no_container_left(environment):
        with sam_local("start-lambda", environment) as port:
            wrong = wrong_events(functools.partial(invoke, port))
        with sam_local("start-api", environment) as port:
            wrong += wrong_routes(port)
        health = next(outcome for outcome in read_outcomes() if outcome["event"] == "manage/health")
        wrong += is_wrong(invoke_once(environment, health["event"]), health)
    sys.exit(f"{wrong} are wrong" if wrong else 0)


if __name__ == "__main__":
    within_its_time(main)
