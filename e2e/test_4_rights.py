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

# Rights that this run does not use, and what they are for.
NOT_USED = {
    # Only a message beside one that takes longer than half a second is deleted by the function.
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_call_of_a_function_was_refused(function, recorder):
    calls = [call for call in recorder.calls if call.function == function]
    assert calls, "nobody has called this function"
    assert not [call for call in calls if call.status == 403]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_used_the_rights_that_its_role_gives(function, recorder, stack):
    used, allowed = recorder.of(function), granted(stack, function)
    print(f"{function}: {len(used)} rights used of {len(allowed)}")
    print("unused", sorted(allowed - used))
    assert used <= allowed


def test_nobody_else_has_called(recorder):
    assert {call.function for call in recorder.calls} == set(FUNCTIONS)


def test_a_mapping_may_poll_its_queue_with_the_function_s_role(stack):
    for mapping in ("IngestBusEvents", "DeliverDeliveries", "ErrorsDeadLetters"):
        properties = stack.template["Resources"][mapping]["Properties"]
        source = named(stack, properties["EventSourceArn"]["Fn::GetAtt"][0])
        allowed = granted(stack, properties["FunctionName"]["Ref"])
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            assert (f"sqs:{action}", source) in allowed


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
