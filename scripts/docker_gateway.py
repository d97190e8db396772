"""Prints the address at which Docker's containers reach this machine, on Linux.

usage: docker_gateway.py
"""

import json
import shutil
import subprocess
import sys


def output_of(command):
    """What a command prints. Its failure ends this, with what it says about it."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def gateway():
    """The address of this machine in the network that containers are in unless told otherwise."""
    if not shutil.which("docker"):
        sys.exit("`sam local` has functions run by Docker, and there is no `docker` on this machine.")
    (network,) = json.loads(output_of(["docker", "network", "inspect", "bridge"]))
    if address := network["IPAM"]["Config"][0].get("Gateway"):
        return address
    # Until its second start Docker 20.10 does not say what it has chosen; the interface has it.
    interface = network["Options"]["com.docker.network.bridge.name"]
    (interface,) = json.loads(output_of(["ip", "-json", "-4", "address", "show", interface]))
    return interface["addr_info"][0]["local"]


if __name__ == "__main__":
    print(gateway())
