"""Deploys template.yaml to the emulator, the way `sam deploy` would to AWS: SAM's transform, the code in a
bucket, a change set.

What is deployed is the template as SAM's translator expands it, with the rewrites of `for_the_emulator`.
"""

import copy
import io
import json
import pathlib
import zipfile

import botocore.exceptions
from check_template import TEMPLATE, expand, yaml_parse

STACK = "academy-hooks-e2e"
BUCKET = "e2e-code"
# What is asked for one message's right when it is done to many.
BATCHED = {"sqs:SendMessage", "sqs:DeleteMessage"}
# What the emulator writes around an invocation, as Lambda does.
FRAME = ("START RequestId:", "END RequestId:", "REPORT RequestId:")
FUNCTIONS = {"Manage": "manage", "Ingest": "ingest", "Deliver": "deliver", "Errors": "errors"}


def for_the_emulator(expanded):
    """The expanded template, as the emulator needs it. Each rewrite is a thing that the emulator lacks, or
    that a test has to see; nothing else of the template is touched.

    1. Routes. SAM writes an HTTP API's routes into an OpenAPI `Body`, which the emulator does not read. They
       become resources of their own: one integration and one route for each path.
    2. Code. It comes from the bucket of this run.
    3. Names. Each function puts its own into its calls' user agents, by the variable that AWS's SDKs have for
       that, so that the recorder knows whose a call is.
    4. Batches. IAM asks for `sqs:SendMessage` where messages are sent in a batch, and so for the deletion;
       the emulator asks for actions that IAM does not have. The roles get these beside the real ones.
    5. Numbers. A parameter of type Number is a text to the emulator's event source mappings, which compare
       it. They get the default as the number that it is.
    6. Alarms over an expression of several metrics, which is all of them, are left out: the emulator refuses
       them.
    7. TLS. The emulator is spoken to without, and obeys the statements that refuse that: they are left out.
    """
    template = copy.deepcopy(expanded)
    resources = template["Resources"]
    for name, alarm in list(resources.items()):
        if alarm["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in alarm["Properties"]:
            del resources[name]
    for name, policy in list(resources.items()):
        if policy["Type"] == "AWS::SQS::QueuePolicy":
            document = policy["Properties"]["PolicyDocument"]
            document["Statement"] = [one for one in document["Statement"] if not refuses_plain_http(one)]
            if not document["Statement"]:
                del resources[name]
    for name, api in list(resources.items()):
        if api["Type"] == "AWS::ApiGatewayV2::Api":
            resources |= routes(name, api["Properties"].pop("Body")["paths"])
            api["Properties"] = {"Name": {"Ref": "AWS::StackName"}, "ProtocolType": "HTTP"}
    for name, binary in FUNCTIONS.items():
        properties = resources[name]["Properties"]
        properties["Code"] = {"S3Bucket": BUCKET, "S3Key": f"{binary}.zip"}
        properties["Environment"]["Variables"]["AWS_SDK_UA_APP_ID"] = name
    for resource in resources.values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            for statement in statements(resource):
                statement["Action"] = [
                    *listed(statement["Action"]),
                    *(f"{action}Batch" for action in listed(statement["Action"]) if action in BATCHED),
                ]
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            limit = properties["ScalingConfig"]["MaximumConcurrency"]
            if isinstance(limit, dict):
                properties["ScalingConfig"]["MaximumConcurrency"] = template["Parameters"][limit["Ref"]]["Default"]
    return template


def refuses_plain_http(statement):
    """Whether this is the statement that refuses requests without TLS."""
    return "aws:SecureTransport" in statement["Condition"].get("Bool", {})


def listed(value):
    """What may stand in a policy as one or as a list, as a list."""
    return value if isinstance(value, list) else [value]


def statements(role):
    """The statements of a role's own policies."""
    for policy in role["Properties"]["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def routes(api, paths):
    """The routes and integrations that an OpenAPI document of SAM's says an API has."""
    made = {}
    for number, (path, methods) in enumerate(paths.items()):
        for method, operation in methods.items():
            if method != "x-amazon-apigateway-any-method":
                raise ValueError(f"{path} has a method of its own: teach the harness to route it")
            integration = operation["x-amazon-apigateway-integration"]
            key = "$default" if operation.get("isDefaultRoute") else f"ANY {path}"
            made[f"{api}Integration{number}"] = {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": integration["uri"],
                    "PayloadFormatVersion": integration["payloadFormatVersion"],
                },
            }
            made[f"{api}Route{number}"] = {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "RouteKey": key,
                    "Target": {"Fn::Sub": f"integrations/${{{api}Integration{number}}}"},
                },
            }
    return made


class Stack:
    """The deployed stack: what it made, under the names that the template has for it."""

    def __init__(self, emulator, parameters):
        self.emulator = emulator
        self.parameters = parameters
        self.template = None
        self.outputs = {}
        self.physical = {}
        # What each function had logged when the stack was deleted, and its log groups with it.
        self.logged = {function: [] for function in FUNCTIONS}

    def deploy(self, kind, done):
        """Deploys the template by a change set of a kind, and waits until the stack has come to a state."""
        self.template = expand(yaml_parse(TEMPLATE.read_text(encoding="utf-8")), self.parameters)
        template = json.dumps(for_the_emulator(self.template)).encode()
        # As `sam deploy` does it: in the request itself a template may have 51,200 bytes.
        self.emulator.client("s3").put_object(Bucket=BUCKET, Key="template.json", Body=template)
        self.change(
            kind,
            done,
            TemplateURL=f"{self.emulator.url}/{BUCKET}/template.json",
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        cloudformation = self.emulator.client("cloudformation")
        description = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in description["Outputs"]}
        resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
        self.physical = {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources
        }

    def update(self, **parameters):
        """Deploys it again, with other values of these parameters."""
        self.parameters |= parameters
        self.deploy("UPDATE", "stack_update_complete")

    def change(self, kind, done, **request):
        """Makes a change set of a kind, executes it, and waits until the stack has come to a state."""
        cloudformation = self.emulator.client("cloudformation")
        change_set = {"StackName": STACK, "ChangeSetName": f"e2e-{kind.lower()}"}
        cloudformation.create_change_set(**change_set, ChangeSetType=kind, **request)
        wait = {"Delay": 1, "MaxAttempts": 60}
        cloudformation.get_waiter("change_set_create_complete").wait(**change_set, WaiterConfig=wait)
        cloudformation.execute_change_set(**change_set)
        try:
            cloudformation.get_waiter(done).wait(StackName=STACK, WaiterConfig=wait)
        except botocore.exceptions.WaiterError as error:
            events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
            failed = [event for event in events if "FAILED" in event["ResourceStatus"]]
            reasons = [f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed]
            raise RuntimeError("\n".join([f"{kind} has failed", *reasons])) from error

    def delete(self):
        """Deletes the stack, and waits until it is gone."""
        self.logged = {function: self.events(function) for function in FUNCTIONS}
        cloudformation = self.emulator.client("cloudformation")
        cloudformation.delete_stack(StackName=STACK)
        wait = {"Delay": 1, "MaxAttempts": 60}
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=STACK, WaiterConfig=wait)

    @property
    def api_host(self):
        return f"{self.physical['Api']}.execute-api.localhost:{self.emulator.port}"

    def events(self, function):
        """What a function has logged, line by line, each with its time in milliseconds."""
        logs = self.emulator.client("logs")
        group = f"/aws/lambda/{STACK}-{FUNCTIONS[function]}"
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        events = [(event["timestamp"], event["message"].rstrip()) for page in pages for event in page["events"]]
        return self.logged[function] + [(at, line) for at, line in events if line and not line.startswith(FRAME)]

    def logs(self, function):
        """The lines alone."""
        return [line for _, line in self.events(function)]

    def mapping(self, resource):
        """An event source mapping as it stands."""
        return self.emulator.client("lambda").get_event_source_mapping(UUID=self.physical[resource])


def deploy(emulator, bootstraps, parameters):
    """Deploys what `bootstraps` (a directory for each function) has, and waits until it is done."""
    s3 = emulator.client("s3")
    s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name}
    )
    for binary in FUNCTIONS.values():
        s3.put_object(Bucket=BUCKET, Key=f"{binary}.zip", Body=zipped(bootstraps / binary / "bootstrap"))
    stack = Stack(emulator, parameters)
    stack.deploy("CREATE", "stack_create_complete")
    return stack


def zipped(bootstrap: pathlib.Path):
    """A function's package: the one file `bootstrap`, which may be executed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        package.writestr(entry, bootstrap.read_bytes())
    return packed.getvalue()
