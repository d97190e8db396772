"""Generates clients from docs/openapi.json, as docs/API.md says how, and holds them to be whole: whatever a
generator warns of fails. Without a server that is in Python and TypeScript, and takes seconds. With one it is in
Rust as well, and each is used against it.

usage: clients.py [SERVER]
"""

import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import typing

from api import ROOT, serving
from bounds import bounded

DESCRIPTION = ROOT / "docs" / "openapi.json"
# What uses the clients, and where it and they are put together.
SOURCES = ROOT / "e2e" / "clients"
WORK = ROOT / "target" / "e2e" / "clients"
# May do everything.
TOKEN = "demo-superadmin-token"
# Cargo's build is kept between runs. Node warns of its own experimental features: that is no complaint about a client.
BUILT = WORK / "built"
ENVIRONMENT = {"CARGO_TARGET_DIR": str(BUILT), "NODE_NO_WARNINGS": "1"}
# Rust's generator is built with the first use.
BOUND_S = 900


def run(folder, *command):
    """Runs a command, which must succeed, and returns what it has complained of."""
    done = subprocess.run(command, cwd=folder, env=os.environ | ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stderr


def generate(folder, *command):
    """Runs a generator, or what compiles what it made, which must not complain."""
    if complaints := run(folder, *command):
        sys.exit(f"{' '.join(map(str, command))} warns:\n{complaints}")


def laid_out(language):
    """A new folder for a language, with the sources that are ours."""
    folder = WORK / language
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCES / language, folder)
    return folder


def has_all(language, declared, names):
    missing = sorted(set(names) - set(declared))
    if missing:
        sys.exit(f"{language} does not have: {', '.join(missing)}")


def python(description):
    folder = laid_out("python")
    made = folder / "made"
    generate(folder, "openapi-python-client", "generate", "--path", DESCRIPTION, "--output-path", made, "--fail-on-warning")
    package = shutil.move(made / "academy_hooks_client", folder)
    run(folder, "mypy", "--strict", "--no-warn-redundant-casts", package, "use.py")

    sys.path.insert(0, str(folder))
    package = importlib.import_module("academy_hooks_client")
    modules = [each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    modules = {name: importlib.import_module(name) for name in modules}
    operations = [each for name, each in modules.items() if hasattr(each, "sync_detailed")]
    if len(operations) != sum(map(len, description["paths"].values())):
        sys.exit("python does not have all operations")
    for operation in operations:
        answer = typing.get_type_hints(operation._parse_response)["return"]
        if typing.Any in (answer, *typing.get_args(answer)):
            sys.exit(f"python: {operation.__name__} has an answer of no type")
    schemas = description["components"]["schemas"]
    objects = [name for name, schema in schemas.items() if "properties" in schema or "allOf" in schema]
    models = importlib.import_module("academy_hooks_client.models")
    has_all("python", models.__all__, [name.replace("_", "") for name in objects])
    return folder, [sys.executable, "use.py"]


def typescript(description):
    folder = laid_out("typescript")
    run(folder, "npm", "ci", "--silent", "--no-audit", "--no-fund")
    tools = folder / "node_modules" / ".bin"
    generate(folder, tools / "openapi-typescript", DESCRIPTION, "--output", "academy-hooks.d.ts")
    generate(folder, tools / "tsc")
    types = (folder / "academy-hooks.d.ts").read_text(encoding="utf-8")
    operations = [each["operationId"] for path in description["paths"].values() for each in path.values()]
    declared = re.findall(r"^ +(\w+): ", types, re.MULTILINE)
    has_all("typescript", declared, [*operations, *description["components"]["schemas"]])
    return folder, ["node", "built/use.js"]


def rust(description):
    folder = laid_out("rust")
    run(folder, "cargo", "build", "--quiet", "--locked", "--bin", "generate")
    generate(folder, BUILT / "debug" / "generate", DESCRIPTION, "src/api")
    generate(folder, "cargo", "build", "--quiet", "--locked", "--bin", "use")
    types = (folder / "src" / "api" / "types.rs").read_text(encoding="utf-8")
    declared = re.findall(r"^pub (?:struct|enum|type) (\w+)", types, re.MULTILINE)
    has_all("rust", declared, [name.replace("_", "") for name in description["components"]["schemas"]])
    return folder, [BUILT / "debug" / "use"]


def main():
    bounded(BOUND_S, sys.exit)
    servers = sys.argv[1:]
    description = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    makers = [python, typescript, rust] if servers else [python, typescript]
    uses = [maker(description) for maker in makers]
    for server in servers:
        with serving(server) as api:
            for folder, command in uses:
                run(folder, *command, api, TOKEN)


if __name__ == "__main__":
    main()
