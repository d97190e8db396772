"""Does what docs/WEBHOOKS.md says, with `academy-hooks serve`: runs its commands in a shell, one after the other,
and has its receivers verify deliveries, genuine ones and others.

Python and Node must be there. PHP and Ruby are left out, aloud, where they are not.

usage: guide.py SERVER
"""

import base64
import hashlib
import hmac
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

from api import ROOT, serving
from bounds import bounded
from receiver import receiving

GUIDE = ROOT / "docs" / "WEBHOOKS.md"
ACADEMY, PUBLISHER = "demo-academy-token", "demo-publisher-token"
EVENT = "assignment.assignment_created"
BOUND_S = 120

# Every answer but a success ends the commands. The first hook that is subscribed has this id.
SHELL = """set -eu
curl() { echo "$@" >&2; command curl --silent --show-error --fail-with-body --max-time 30 "$@"; }
"""
FIRST_HOOK = 2

# How each language's `verify` is called, with the body on standard input, and what runs it.
LANGUAGES = {
    "python": ("{}\nimport sys\nprint(verify(*sys.argv[1:], sys.stdin.buffer.read()))", "python3"),
    "js": ("{}\nconsole.log(verify(...process.argv.slice(2), require('fs').readFileSync(0)));", "node"),
    "php": ("<?php\n{}\necho json_encode(verify(...[...array_slice($argv, 1), stream_get_contents(STDIN)]));", "php"),
    "ruby": ("{}\nputs verify(*ARGV, $stdin.binmode.read)", "ruby"),
}
REQUIRED = {"python", "js"}


def blocks(language):
    """The guide's blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def replaced(text, replacements):
    for old, new in replacements.items():
        if old not in text:
            sys.exit(f"the guide has no {old} any more")
        text = text.replace(old, new)
    return text


def run_commands(api, receiver):
    """Runs all commands of the guide, in its order, as an academy."""
    replacements = {
        "https://hooks.example.com": api,
        "YOUR_ACADEMY_TOKEN": ACADEMY,
        "https://your-app.example.com": f"http://{receiver.address}",
        "HOOK=125": f"HOOK={FIRST_HOOK}",
    }
    commands = replaced("\n".join(blocks("sh")), replacements)
    ran = subprocess.run(["bash"], input=SHELL + commands, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{ran.stdout[-500:]}\n{ran.stderr[-1000:]}\na command of the guide fails: {ran.returncode}")
    pings = receiver.deliveries["webhooks/v2"]
    if [ping.headers["webhook-test"] for ping in pings] != ["ping"]:
        sys.exit(f"the ping of the guide has not arrived: {pings}")
    print(f"{commands.count('curl ')} commands succeed")


def caller(api):
    def call(method, path, token=ACADEMY, body=None):
        request = urllib.request.Request(f"{api}/v1/notify/{path}", method=method)
        request.add_header("Authorization", f"Token {token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    return call


def delivered(call, receiver, path):
    """A delivery of an event that is published now."""
    payload = call("GET", f"hook/sample?event={EVENT}") | {"title": "Zoë's résumé"}
    before = len(receiver.deliveries[path])
    call("POST", "event", PUBLISHER, {"event": EVENT, "academy": "downtown-campus", "payload": payload})
    end = time.monotonic() + 20
    while len(receiver.deliveries[path]) == before:
        if time.monotonic() > end:
            sys.exit("a delivery does not arrive")
        time.sleep(0.05)
    return receiver.deliveries[path][-1]


def signature(secret, delivery_id, timestamp, body):
    """Standard Webhooks, by hand."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{delivery_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def cases(call, receiver):
    """What is to be verified, and whether it is genuine: by name."""
    hook = call("POST", "hook/subscribe", body={"event": EVENT, "target": receiver.url("verified")})
    secret_path = f"hook/subscribe/{hook['id']}/secret"
    old = call("GET", secret_path)["secret"]

    def taken(secret, delivery, **changes):
        headers = delivery.headers
        request = {
            "id": delivery.id,
            "timestamp": headers["webhook-timestamp"],
            "signatures": headers["webhook-signature"],
            "body": delivery.body,
        } | changes
        return [secret, request["id"], request["timestamp"], request["signatures"]], request["body"]

    delivery = delivered(call, receiver, "verified")

    def made_at(timestamp):
        made = signature(old, delivery.id, timestamp, delivery.body)
        return taken(old, delivery, timestamp=timestamp, signatures=made)

    now = int(time.time())
    yield "a delivery", taken(old, delivery), True
    yield "another body", taken(old, delivery, body=delivery.body + b" "), False
    yield "another id", taken(old, delivery, id=delivery.id[::-1]), False
    yield "another time", taken(old, delivery, timestamp=str(now - 7)), False
    yield "no signature", taken(old, delivery, signatures=""), False
    yield "a part of a signature", taken(old, delivery, signatures=delivery.headers["webhook-signature"][:-1]), False
    yield "four minutes ago", made_at(str(now - 240)), True
    yield "six minutes ago", made_at(str(now - 360)), False
    yield "in six minutes", made_at(str(now + 360)), False
    yield "a time that is none", made_at("now"), False

    new = call("POST", f"{secret_path}/rotate")["secret"]
    yield "another secret", taken(new, delivery), False
    both = delivered(call, receiver, "verified")
    yield "after a rotation, with the old secret", taken(old, both), True
    yield "after a rotation, with the new secret", taken(new, both), True


def verify(api, receiver):
    """Has each language's receiver verify every case."""
    known = list(cases(caller(api), receiver))
    wrong = []
    for language, (driver, interpreter) in LANGUAGES.items():
        if not shutil.which(interpreter):
            if language in REQUIRED:
                sys.exit(f"{interpreter} is not there")
            print(f"{language}: left out, {interpreter} is not there")
            continue
        (code,) = blocks(language)
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, f"verify.{language}")
            program.write_text(driver.replace("{}", code, 1), encoding="utf-8")
            for name, (arguments, body), is_genuine in known:
                command = [interpreter, program, *arguments]
                ran = subprocess.run(command, input=body, capture_output=True, timeout=20)
                if ran.stdout.strip().lower() != (b"true" if is_genuine else b"false"):
                    wrong.append(f"{language}: {name}: {ran.stdout} {ran.stderr}")
        print(f"{language}: {len(known)} requests")
    if wrong:
        sys.exit("\n".join(wrong))


def main():
    bounded(BOUND_S, sys.exit)
    (binary,) = sys.argv[1:]
    with receiving() as receiver, serving(binary, "--allow-target", receiver.address) as api:
        run_commands(api, receiver)
        verify(api, receiver)


if __name__ == "__main__":
    main()
