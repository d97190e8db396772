"""What the functions have logged in this run: JSON lines that say what happened, and nothing secret."""

import json

import pytest
from stack import FUNCTIONS

# What the emulator writes around an invocation, as Lambda does.
FRAME = ("START RequestId:", "END RequestId:", "REPORT RequestId:")


def lines(stack, function):
    """What a function has logged, read."""
    return [json.loads(line) for line in stack.logs(function) if line and not line.startswith(FRAME)]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_logs_json_into_its_own_group(function, stack):
    assert all({"level", "message"} <= line.keys() for line in lines(stack, function))


def test_the_logs_tell_what_happened(stack):
    def messages(function):
        return {line["message"] for line in lines(stack, function)}

    assert "subscribed" in messages("Manage")
    assert "an event of the bus is put aside" in messages("Ingest")
    assert "given up" in messages("Errors")
    assert "a message is no dead letter" in messages("Errors")


def test_no_log_has_a_token_or_a_secret(stack, tokens):
    for function in FUNCTIONS:
        text = "\n".join(stack.logs(function))
        assert "whsec_" not in text
        assert not [token for token in tokens if token in text]
