"""Writes .aws-sam/local.json: template.yaml as `sam local` needs it, over `academy-hooks serve`.

SAM gives a function the variables of the template and no others, with the shell's values before the template's. So
this adds those that say where tables and queues are: their values are the exports that `serve` prints. The
functions' code is what `make build ARCHITECTURE=x86_64` has left.

usage: local_template.py
"""

import json
import pathlib
import re
import sys

from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = ROOT / "target" / "lambda"
LOCAL = ROOT / ".aws-sam" / "local.json"
# Where there is nothing: without the exports, a function is not to ask the real AWS.
NOWHERE = "http://without-the-exports-of-serve.invalid"
ENDPOINTS = dict.fromkeys(["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS"], NOWHERE)


def is_for_x86_64(bootstrap):
    """Whether there is an executable for x86_64 in this place."""
    if not bootstrap.is_file():
        return False
    with bootstrap.open("rb") as file:
        header = file.read(20)
    return header[:4] == b"\x7fELF" and header[18:] == b"\x3e\x00"


def localize(template):
    """Changes a template into that of `sam local`."""
    template["Globals"]["Function"]["Environment"]["Variables"].update(ENDPOINTS)
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        code = resource["Properties"]["CodeUri"]
        package = re.fullmatch(r"functions/(\w+)", code)
        if not package:
            raise RuntimeError(f"the code of {name} is {code}, and should be a folder of functions/")
        folder = BUILT / package[1]
        if not is_for_x86_64(folder / "bootstrap"):
            sys.exit(f"There is no bootstrap for x86_64 in {folder}: make build ARCHITECTURE=x86_64")
        resource["Properties"]["CodeUri"] = str(folder)


def main():
    template = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    localize(template)
    LOCAL.parent.mkdir(exist_ok=True)
    LOCAL.write_text(json.dumps(template, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
