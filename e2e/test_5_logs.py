"""What the functions have logged in this run: JSON lines that say what happened, a line of metrics for each
invocation, one delivery that can be followed by its id, and nothing secret.
"""

import json

import pytest
from stack import FUNCTIONS, STACK



@pytest.fixture(scope="module")
def logs(stack):
    """What each function has logged in the run so far, read. What is no JSON fails here."""
    return {function: [json.loads(line) for line in stack.logs(function)] for function in FUNCTIONS}


def said(logs, function):
    """The lines of a function that tell what happened."""
    return [line for line in logs[function] if "_aws" not in line]


def counted(logs, function, metric):
    """A metric of a function, summed over all invocations; of durations, how many there are."""
    values = [line[metric] for line in logs[function] if "_aws" in line and metric in line]
    return sum(len(value) if isinstance(value, list) else value for value in values)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_line_says_what_happened_or_is_one_of_metrics(function, logs):
    assert said(logs, function)
    for line in said(logs, function):
        assert {"level", "message", "target"} <= line.keys()
        # The outermost span is the invocation.
        assert line["spans"][0]["requestId"]
    for line in logs[function]:
        if "_aws" in line:
            (described,) = line["_aws"]["CloudWatchMetrics"]
            assert described["Namespace"] == STACK
            # One dimension: as many metrics as there are names, whatever hooks there may be.
            assert described["Dimensions"] == [["Function"]]
            assert line["Function"] == FUNCTIONS[function]
            assert all(metric["Name"] in line for metric in described["Metrics"])


def test_the_logs_tell_what_happened(logs):
    def messages(function):
        return {line["message"] for line in said(logs, function)}

    assert "subscribed" in messages("Manage")
    assert "an event of the bus is wrong" in messages("Ingest")
    assert "given up" in messages("Errors")
    assert "a message is no dead letter" in messages("Errors")


def test_the_metrics_are_what_came(logs):
    told = [line for line in said(logs, "Deliver") if line["message"] == "attempted"]
    assert counted(logs, "Deliver", "AttemptsRejected") == len([1 for line in told if line["code"] >= 400])
    # A worker that was killed may have told of attempts that it has not lived to count: they came again.
    arrived = [line["delivery_id"] for line in told if line["code"] < 400]
    assert len(set(arrived)) <= counted(logs, "Deliver", "AttemptsDelivered") <= len(arrived)
    assert counted(logs, "Deliver", "DeliveryLatency") == counted(logs, "Deliver", "AttemptsDelivered")

    accepted = [line for line in said(logs, "Ingest") if line["message"] == "accepted"]
    assert counted(logs, "Ingest", "EventsAccepted") == len(accepted)
    assert counted(logs, "Ingest", "JobsQueued") == sum(line["deliveries"] for line in accepted)
    assert counted(logs, "Ingest", "EventsPutAside") >= 1
    assert counted(logs, "Deliver", "CircuitsOpened") >= 1
    assert counted(logs, "Deliver", "DeliveriesGivenUp") == 2
    # Those two, and the one whose workers were killed.
    assert counted(logs, "Errors", "DeadLettersRecorded") == 3
    assert counted(logs, "Errors", "DeadLettersFailed") >= 1
    assert counted(logs, "Manage", "RequestsRefused") >= 1


def test_one_delivery_can_be_followed_through_the_functions_by_its_id(logs, receiver):
    # What its endpoint knows of a delivery is its id.
    delivery = receiver.deliveries["broken"][0].id

    def about(function):
        return [line for line in said(logs, function) if line.get("delivery_id") == delivery]

    attempts = about("Deliver")
    assert [(line["message"], line["attempt"], line["code"]) for line in attempts] == [
        ("attempted", 1, 500),
        ("attempted", 2, 500),
        ("attempted", 3, 500),
        # Redelivered, it starts from its first attempt.
        ("attempted", 1, 204),
    ]
    (given_up,) = about("Errors")
    assert (given_up["message"], given_up["reason"]) == ("given up", "The endpoint answered 500.")
    (sent_again,) = about("Manage")
    assert sent_again["message"] == "sent again"

    # From any of these to the event, whose id alone leads through all functions.
    (event,) = {line["event_id"] for line in [*attempts, given_up, sent_again]}

    def of_event(function):
        return [line["message"] for line in said(logs, function) if line.get("event_id") == event]

    assert {function: of_event(function) for function in FUNCTIONS} == {
        "Ingest": ["accepted"],
        "Deliver": ["attempted"] * 4,
        "Errors": ["given up"],
        "Manage": ["sent again"],
    }


def test_no_log_has_a_token_or_a_secret(stack, tokens):
    for function in FUNCTIONS:
        text = "\n".join(stack.logs(function))
        assert "whsec_" not in text
        assert not [token for token in tokens if token in text]
