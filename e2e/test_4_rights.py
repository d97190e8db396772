"""Each function's role allows what the function does, and little else.

In the tests before, roles were in force: the emulator refuses a call that the caller's role does not allow,
as AWS would. Here stands what came of that, and what it does not show.

It shows that every call that a function has made to DynamoDB and SQS in this run is allowed by its role. It
does not show calls that no test brings a function to make, what runs with a role on AWS alone (writing logs
and traces), and the policies of queues that EventBridge needs, which the emulator does not ask for. The
mappings poll with the functions' roles; that is read in the template.
"""

import json

import pytest
from rights import granted, named
from stack import FUNCTIONS, STACK

# Rights that this run does not use, or only by chance, and what each is for.
SELDOM_USED = {
    ("Deliver", "dynamodb:DeleteItem", f"{STACK}-hook-samples"): "of a hook that was deleted while its sample was kept",
    ("Errors", "dynamodb:ConditionCheckItem", f"{STACK}-hook-errors"): "of an error whose deletion was cut off",
    ("Errors", "dynamodb:DeleteItem", f"{STACK}-hook-errors"): "of an error whose deletion was cut off",
}
# What an event source mapping does, with its function's role.
POLLING = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
MAPPINGS = ("IngestBusEvents", "DeliverDeliveries", "ErrorsDeadLetters")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_call_of_a_function_was_refused(function, recorder):
    calls = [call for call in recorder.calls if call.function == function]
    assert calls, "nobody has called this function"
    assert not [call for call in calls if call.status == 403]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_gives_what_its_function_has_used_and_little_else(function, recorder, stack):
    used, allowed = recorder.of(function), granted(stack, function)
    seldom = {(action, resource) for name, action, resource in SELDOM_USED if name == function}
    assert used <= allowed
    assert allowed - used - polled(stack, function) <= seldom
    assert seldom <= allowed


def polled(stack, function):
    """The rights that the mapping of a function needs, if it has one."""
    return {
        (f"sqs:{action}", source)
        for mapping in MAPPINGS
        for name, source in [ends(stack, mapping)]
        if name == function
        for action in POLLING
    }


def ends(stack, mapping):
    """The function that an event source mapping calls by its alias, and the queue that it polls."""
    resources = stack.template["Resources"]
    properties = resources[mapping]["Properties"]
    alias = resources[properties["FunctionName"]["Ref"]]["Properties"]
    assert alias["Name"] == "live"
    return alias["FunctionName"]["Ref"], named(stack, properties["EventSourceArn"]["Fn::GetAtt"][0])


def test_nobody_else_has_called(recorder):
    assert {call.function for call in recorder.calls} == set(FUNCTIONS)


def test_a_mapping_may_poll_its_queue_with_its_function_s_role(stack):
    for mapping in MAPPINGS:
        function, _ = ends(stack, mapping)
        assert polled(stack, function) <= granted(stack, function)


def test_a_function_without_a_right_is_refused(stack, call, tokens):
    """Without this one could not tell whether roles were in force at all."""
    iam = stack.emulator.client("iam")
    role = stack.physical["ManageRole"]
    policy = iam.get_role_policy(RoleName=role, PolicyName="manage")["PolicyDocument"]
    less = policy | {"Statement": [one for one in policy["Statement"] if one["Sid"] != "ListHooks"]}
    assert len(less["Statement"]) == len(policy["Statement"]) - 1

    assert call("GET", "hook/subscribe", tokens.academy).status == 200
    iam.put_role_policy(RoleName=role, PolicyName="manage", PolicyDocument=json.dumps(less))
    assert call("GET", "hook/subscribe", tokens.academy).status == 503
    iam.put_role_policy(RoleName=role, PolicyName="manage", PolicyDocument=json.dumps(policy))
    assert call("GET", "hook/subscribe", tokens.academy).status == 200
