"""The emulator of AWS: a process of its own, on a free port, that takes everything it has started with it."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3
from botocore.config import Config

REGION = "eu-central-1"
ACCOUNT = "000000000000"
# The emulator takes these for the account's root, which may do everything.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
START_S = 60
STOP_S = 10
# An emulator that hangs is not asked again and again.
CALLS = Config(read_timeout=30, retries={"total_max_attempts": 1})


class Emulator:
    """Where the emulator is, and how it is spoken to."""

    def __init__(self, port, log):
        self.port = port
        self.log = log
        self.url = f"http://127.0.0.1:{port}"
        self.process = None

    def client(self, service):
        """A client of one of its services, as the account's root."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=CALLS,
        )

    def environment(self):
        """What a program needs to work on the deployment, such as the operator's command."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return inherited | CREDENTIALS | {"AWS_REGION": REGION, "AWS_ENDPOINT_URL": self.url}

    def workers(self, function):
        """The processes of a function that are alive, by their ids."""
        ours = f"AWS_LAMBDA_FUNCTION_NAME={function}".encode()
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                # The emulator leads the group of everything that it starts.
                if os.getpgid(int(folder.name)) != self.process.pid:
                    continue
                if ours in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def running(port, functions_endpoint):
    """The emulator, for as long as the block lasts. Its functions make their calls to `functions_endpoint`."""
    # What has just been killed may still be writing.
    with tempfile.TemporaryDirectory(prefix="e2e-", ignore_cleanup_errors=True) as folder:
        folder = pathlib.Path(folder)
        emulator = Emulator(port, folder / "emulator.log")
        environment = emulator.environment() | {
            "AWS_ENDPOINT_URL": functions_endpoint,
            # Roles count: a function acts with its role's rights, and is refused what they do not allow.
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": "localhost",
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            # What it unpacks goes with the run.
            "TMPDIR": str(folder),
        }
        command = [str(pathlib.Path(sys.executable).with_name("ministack"))]
        with emulator.log.open("wb") as log:
            # A group of its own: Ctrl-C is for the test, which then stops the group.
            emulator.process = subprocess.Popen(
                command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_until_up(emulator)
            yield emulator
        finally:
            stop(emulator.process)


def wait_until_up(emulator):
    end = time.monotonic() + START_S
    while time.monotonic() < end and emulator.process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{emulator.url}/_ministack/health", timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError("the emulator does not answer:\n" + emulator.log.read_text(errors="replace")[-4000:])


def stop(process):
    """Ends the emulator and then whatever of its group is left."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
