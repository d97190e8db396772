"""Checks template.yaml: what SAM accepts, what CloudFormation would get, and three promises of our own.

`sam validate` knows SAM's resources only and cfn-lint knows CloudFormation's only, so the template is
checked as it stands by the one and as SAM's translator expands it by the other.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

REGION = "eu-central-1"
ROOT = pathlib.Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template.yaml"
# Nothing here talks to AWS, but both tools ask for a region before they begin.
ENVIRONMENT = os.environ | {"AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0"}


def run(command):
    """Runs a tool; its failure is ours."""
    print("+", *command, flush=True)
    if subprocess.run(command, cwd=ROOT, env=ENVIRONMENT).returncode:
        sys.exit(1)


def expand(template):
    """The template as CloudFormation gets it from SAM's transform."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # The translator takes uploaded code only, as `sam deploy` leaves it.
            resource["Properties"]["CodeUri"] = "s3://bucket/function.zip"
    # The last argument would ask IAM for its managed policies by name; we attach them by ARN.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    return translator.translate(template, parameter_values={})


def broken_promises(resources):
    """What both tools let pass and this project does not."""
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::Lambda::EventSourceMapping":
                function = resources[properties["FunctionName"]["Ref"]]["Properties"]
                queue = resources[properties["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
                if queue["VisibilityTimeout"] < 6 * function["Timeout"]:
                    yield f"{name}: the queue's visibility timeout is below six times the function's"
                if "ReportBatchItemFailures" not in properties.get("FunctionResponseTypes", []):
                    yield f"{name}: one bad message would bring its whole batch back"
            case "AWS::IAM::Role" | "AWS::SQS::QueuePolicy" if "*" in json.dumps(properties):
                yield f"{name}: a wildcard in its rights"


def main():
    run(["sam", "validate", "--template-file", str(TEMPLATE)])
    expanded = expand(yaml_parse(TEMPLATE.read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "expanded.json"
        path.write_text(json.dumps(expanded, indent=2), encoding="utf-8")
        run(["cfn-lint", "--regions", REGION, "--template", str(path)])
    if broken := list(broken_promises(expanded["Resources"])):
        sys.exit("\n".join(broken))
    print(f"{TEMPLATE.name}: {len(expanded['Resources'])} resources, nothing to complain about")


if __name__ == "__main__":
    main()
