"""What happens to a batch when one message in it is bad, when its worker dies, and when AWS is out of order: the
queues and the event source mappings, as the template has set them up.

This is the second door of the dead-letter queue: the redrive policy, after a message was handed out in vain so often.
"""

import collections
import json

import pytest

EVENT = "cohort_user.added"
# How long a message is away after it was handed out in vain, and how often it is handed out. The template's minutes
# and its 25 times are for real workers, and for an hour in which there are none.
AWAY_S = 3
TIMES = 5
# The queues that workers take messages from: for how many seconds each hides a message, and where it goes in the end.
DEPLOYED = {
    "DeliveriesQueue": ("550", "DeadLettersQueue"),
    "EventsQueue": ("174", "DeadEventsQueue"),
    "DeadLettersQueue": ("180", None),
}


@pytest.fixture(autouse=True)
def quick_queues(queue):
    """The deployed queues as the template has them, first looked at and then made quick: this is no rewrite
    of the template, but what an operator could do to queues that stand."""
    before = {name: queue(name).attributes() for name in DEPLOYED}
    for name, (timeout, dead) in DEPLOYED.items():
        assert before[name]["VisibilityTimeout"] == timeout
        quick = {"VisibilityTimeout": str(AWAY_S)}
        if dead is None:
            assert "RedrivePolicy" not in before[name]
        else:
            redrive = json.loads(before[name]["RedrivePolicy"])
            assert redrive == {"deadLetterTargetArn": queue(dead).attributes()["QueueArn"], "maxReceiveCount": 25}
            quick["RedrivePolicy"] = json.dumps(redrive | {"maxReceiveCount": TIMES})
        queue(name).configure(**quick)
    yield
    for name, attributes in before.items():
        kept = ("VisibilityTimeout", "RedrivePolicy")
        queue(name).configure(**{key: attributes[key] for key in kept if key in attributes})


def test_one_bad_message_does_not_hold_up_its_batch_and_ends_as_a_dead_letter(
    subscribe, publish, receiver, until, queue, held, stack, academy_hooks
):
    deliveries, dead_letters = queue("DeliveriesQueue"), queue("DeadLettersQueue")
    subscribe(EVENT, "beside-poison")
    with held("DeliverDeliveries"):
        publish(EVENT, {"id": 401})
        deliveries.send("this is no job")
        publish(EVENT, {"id": 402})
        assert deliveries.count() == 3

    # The worker names the one message; the others are done.
    until(lambda: "1 partial failure" in stack.mapping("DeliverDeliveries")["LastProcessingResult"])
    until(lambda: deliveries.count() == 1)
    assert sorted(delivery.payload["id"] for delivery in receiver.deliveries["beside-poison"]) == [401, 402]

    # Nobody can read it, neither `deliver` nor `errors`: it stays, for an operator to look at.
    until(lambda: deliveries.count() == 0, 2 * TIMES * AWAY_S)
    assert dead_letters.count() == 1
    until(lambda: "1 partial failure" in stack.mapping("ErrorsDeadLetters")["LastProcessingResult"])
    with held("ErrorsDeadLetters"):
        until(lambda: "this is no job" in academy_hooks("dlq", "peek", "--payload"))
        assert len(receiver.deliveries["beside-poison"]) == 2
        dead_letters.empty()


def test_a_worker_that_is_killed_in_the_middle_of_a_batch_loses_nothing(
    subscribe, publish, receiver, until, queue, held, kill_deliver, call, tokens
):
    hook = subscribe(EVENT, "killer")
    killed = []

    def kill_once():
        if not killed:
            killed.append(True)
            kill_deliver()
        return 204

    receiver.answers["killer"] = kill_once
    with held("DeliverDeliveries"):
        for number in range(4):
            publish(EVENT, {"id": 410 + number})

    until(lambda: queue("DeliveriesQueue").count() == 0)
    assert killed
    came = collections.Counter(receiver.ids("killer"))
    assert {delivery.payload["id"] for delivery in receiver.deliveries["killer"]} == {410, 411, 412, 413}
    # What had come before the worker died is delivered again, under the same id.
    assert len(came) == 4
    assert max(came.values()) == 2
    # And is counted once: the worker that made the first call has not lived to count it.
    assert call("GET", f"hook/subscribe/{hook}", tokens.academy).body["total_calls"] == 4


def test_a_delivery_that_kills_every_worker_becomes_an_error_that_can_be_repaired(
    subscribe, publish, receiver, until, queue, kill_deliver, call, tokens
):
    subscribe(EVENT, "deadly")

    def kill():
        kill_deliver()
        return 204

    receiver.answers["deadly"] = kill
    publish(EVENT, {"id": 420})

    def errors():
        return call("GET", "hook/error?envelope=false", tokens.academy).body

    (error,) = until(errors, 3 * TIMES * AWAY_S)
    assert error["message"] == "The delivery was interrupted again and again."
    first, *others = receiver.ids("deadly")
    assert others == [first] * (TIMES - 1)
    until(lambda: queue("DeadLettersQueue").count() == 0)

    receiver.answers["deadly"] = 204
    assert call("POST", f"hook/error/{error['id']}/redeliver", tokens.academy).body["redelivered"] == 1
    until(lambda: receiver.ids("deadly") == [first] * (TIMES + 1))
    assert call("DELETE", f"hook/error/{error['id']}", tokens.academy).status == 200


def test_what_cannot_be_queued_is_not_lost(
    subscribe, put, receiver, until, queue, recorder, stack, call, tokens
):
    subscribe(EVENT, "outage")
    body = {"event": EVENT, "academy": "downtown-campus", "payload": {"id": 430}, "id": "cohort-user-430-added"}
    with recorder.outage("sqs:SendMessage"):
        assert call("POST", "event", tokens.publisher, body).status == 503
        put("breathecode.admissions", EVENT, {"academy": "downtown-campus", "payload": {"id": 431}})
        until(lambda: "1 partial failure" in stack.mapping("IngestBusEvents")["LastProcessingResult"])

    # SQS redelivers what came over the bus, and the publisher may publish again under the same id.
    assert call("POST", "event", tokens.publisher, body).status == 202
    until(lambda: {delivery.payload["id"] for delivery in receiver.deliveries["outage"]} == {430, 431})
    until(lambda: queue("EventsQueue").count() == 0)
    assert queue("DeadEventsQueue").count() == 0
