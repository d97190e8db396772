"""Runs schemathesis against `academy-hooks serve`: every operation of the API's own description, with what
it allows and what it does not. A server error, or an answer that the description does not have, fails.

usage: api.py SERVER [schemathesis options]
"""

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from bounds import bounded

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "events" / "fixtures.json"
# An academy sees its own, a superadmin everything, and may do what publishers may.
TOKENS = ["demo-superadmin-token", "demo-academy-token"]
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "unsupported_method",
]
# The same cases every time: what fails in one run fails in the next.
BOUNDS = ["--max-examples", "25", "--seed", "20250120", "--request-timeout", "30"]
# The whole run, several times over.
BOUND_S = 480


@contextlib.contextmanager
def serving(binary, *options):
    """The API's address for as long as the block lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [binary, "serve", "--in-memory", "--addr", address, "--fixtures", str(FIXTURES), *options]
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            wait_for(f"http://{address}/health", server)
            yield f"http://{address}"
        finally:
            # It keeps nothing.
            server.kill()
        server.wait()
        log.seek(0)
        # Of its log, and not of the addresses and names that it begins with.
        errors = [line for line in log.read().decode().splitlines() if " ERROR " in line]
        if errors:
            sys.exit("\n".join(["the server has logged errors:", *errors]))


def wait_for(url, server):
    end = time.monotonic() + 20
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.05)
    sys.exit("the server does not answer")


def main():
    bounded(BOUND_S, sys.exit)
    binary, *options = sys.argv[1:]
    failed = False
    with serving(binary) as api:
        description = f"{api}/v1/notify/openapi.json"
        with urllib.request.urlopen(description, timeout=5) as answer:
            served = json.load(answer)
        if served != json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")):
            sys.exit("the description that is served is not docs/openapi.json: rebuild the server")
        for token in TOKENS:
            print(f"\nas the holder of {token}", flush=True)
            command = ["schemathesis", "run", description, "--url", api]
            command += ["--header", f"Authorization: Token {token}", "--checks", ",".join(CHECKS)]
            failed |= bool(subprocess.run(command + BOUNDS + options).returncode)
    sys.exit(failed)


if __name__ == "__main__":
    main()
