"""What the roles of template.yaml allow, and whether a function's calls are within that.

The roles are read as they stand in the expanded template, before the harness's rewrites.
"""

import re

from stack import STACK, statements, listed


def granted(stack, function):
    """The pairs of an action and a resource that a function's role allows, resources by their plain names.
    What belongs to the runtime (logs, traces, network interfaces) is not a function's own."""
    role = stack.template["Resources"][f"{function}Role"]
    return {
        (action, plain(stack, resource))
        for statement in statements(role)
        if statement["Effect"] == "Allow" and not listed(statement["Action"])[0].startswith(("logs:", "ec2:"))
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def plain(stack, resource):
    """The name that a resource of a statement has in a call: a table's, an index's or a queue's."""
    if "Fn::GetAtt" in resource:
        return named(stack, resource["Fn::GetAtt"][0])
    # An index: the table's ARN and the rest of the path.
    table, path = re.fullmatch(r"\$\{(\w+)\.Arn\}(/index/\w+)", resource["Fn::Sub"]).groups()
    return named(stack, table) + path


def named(stack, resource):
    """The name of a table or queue."""
    name = stack.physical[resource].rsplit("/", 1)[-1]
    assert name.startswith(STACK)
    return name
