"""Checks template.yaml with tools: what SAM accepts, what CloudFormation would get, and what is usual in production.

`sam validate` knows SAM's resources only, cfn-lint and checkov know CloudFormation's, so the template is checked as
it stands by the one and as SAM's translator expands it by the others. Rules of our own are tests, in
shared/tests/shared/template/rules/. `make` is asked whether it deploys and builds what samconfig.toml and the template
have, and nothing else.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import tomllib

import boto3
import import_tables
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

REGION = "eu-central-1"
ROOT = pathlib.Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template.yaml"
CHECKOV = ROOT / "scripts" / "checkov.yaml"
# Nothing here talks to AWS, but both tools ask for a region before they begin.
ENVIRONMENT = os.environ | {"AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0"}


def run(command):
    """Runs a tool; its failure is ours."""
    print("+", *command, flush=True)
    if subprocess.run(command, cwd=ROOT, env=ENVIRONMENT).returncode:
        sys.exit(1)


def expand(template, parameters):
    """The template as CloudFormation gets it from SAM's transform, which reads some of the parameters."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # The translator takes uploaded code only, as `sam deploy` leaves it.
            resource["Properties"]["CodeUri"] = "s3://bucket/function.zip"
    # The last argument would ask IAM for its managed policies by name; we attach them by ARN.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    return translator.translate(template, parameter_values=parameters)


def check(name, parameters):
    """Checks what CloudFormation gets if it is given these parameters."""
    expanded = expand(yaml_parse(TEMPLATE.read_text(encoding="utf-8")), parameters)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"{name}.json"
        path.write_text(json.dumps(expanded, indent=2), encoding="utf-8")
        run(["cfn-lint", "--regions", REGION, "--template", str(path)])
        run(["checkov", "--config-file", str(CHECKOV), "--file", str(path)])
    print(f"{TEMPLATE.name}, {name}: {len(expanded['Resources'])} resources, nothing to complain about")


def make_takes(target, variable, value):
    """Whether `make` goes on with a target for this value of a variable."""
    command = ["make", "--silent", target, f"{variable}={value}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0


def check_make():
    """Checks that `make` takes the environments and architectures that there are, and no others."""
    with (ROOT / "samconfig.toml").open("rb") as file:
        # The last one is for `sam local`, and none that is deployed.
        environments = tomllib.load(file).keys() - {"version", "local"}
    template = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
    architectures = template["Parameters"]["Architecture"]["AllowedValues"]
    for target, variable, values in [
        ("known-environment", "ENVIRONMENT", environments),
        ("known-architecture", "ARCHITECTURE", architectures),
    ]:
        wrong = [value for value in values if not make_takes(target, variable, value)]
        wrong += [value for value in ["", "local", "x86", " ".join(values)] if make_takes(target, variable, value)]
        if wrong:
            sys.exit(f"make takes these as {variable} though it must not, or refuses them though there are such: {wrong}")


def main():
    check_make()
    run(["sam", "validate", "--template-file", str(TEMPLATE)])
    check("at-once", {})
    check("gradual", {"GradualDeployment": "Canary10Percent5Minutes"})
    with tempfile.TemporaryDirectory() as folder:
        import_tables.write("academy-hooks", pathlib.Path(folder))
        run(["cfn-lint", "--regions", REGION, "--template", str(pathlib.Path(folder) / "tables.json")])


if __name__ == "__main__":
    main()
