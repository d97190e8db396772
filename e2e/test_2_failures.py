"""What an endpoint that fails leaves behind: attempts, an error, and deliveries that can be sent again.

This is the first door of the dead-letter queue: the worker itself sends what it dead-letters.
"""

EVENT = "cohort_user.added"


def test_failing_endpoint_leaves_an_error_and_is_redelivered_to(
    subscribe, publish, receiver, call, tokens, until, queue, academy_hooks
):
    hook = subscribe(EVENT, "broken")
    receiver.answers["broken"] = 500
    publish(EVENT, {"id": 301})

    # The attempt, and one after each wait of the schedule. Then it is exhausted.
    (error,) = until(lambda: errors(call, tokens))
    assert (error["message"], error["count"]) == ("The endpoint answered 500.", 1)
    first, *others = receiver.ids("broken")
    assert others == [first, first]
    attempts = call("GET", f"hook/{hook}/attempts?envelope=false", tokens.academy).body
    assert [attempt["code"] for attempt in attempts] == [500, 500, 500]
    assert f"{error['id']}" == academy_hooks("errors", "list", "--owner", "downtown-campus").split()[0]
    until(lambda: queue("DeadLettersQueue").count() == 0)

    # Mended: its owner asks for what it has missed, which is the same delivery.
    receiver.answers["broken"] = 204
    answer = call("POST", f"hook/error/{error['id']}/redeliver", tokens.academy)
    assert (answer.status, answer.body) == (202, {"redelivered": 1, "left": False})
    until(lambda: len(receiver.ids("broken")) == 4)
    assert receiver.ids("broken") == [first] * 4

    # Asking again sends nothing again. The error stays until it is deleted.
    assert call("POST", f"hook/error/{error['id']}/redeliver", tokens.academy).body["redelivered"] == 0
    assert call("DELETE", f"hook/error/{error['id']}", tokens.academy).status == 200
    assert not errors(call, tokens)


def errors(call, tokens):
    return call("GET", "hook/error?envelope=false", tokens.academy).body


def test_operator_redelivers_dead_letters(
    subscribe, publish, receiver, call, tokens, until, academy_hooks
):
    hook = subscribe(EVENT, "gone")
    # It is dead-lettered at once.
    receiver.answers["gone"] = 410
    publish(EVENT, {"id": 302})
    (error,) = until(lambda: errors(call, tokens))

    receiver.answers["gone"] = 204
    academy_hooks("errors", "redeliver", str(error["id"]), "--owner", "downtown-campus")
    until(lambda: len(receiver.ids("gone")) == 2)
    # By hook and time there is nothing left to send.
    answer = call("POST", f"hook/{hook}/redeliver?since=2025-01-20T15:30:00Z", tokens.academy)
    assert (answer.status, answer.body["redelivered"]) == (202, 0)
    # A superadmin sees everybody's.
    everybody = call("GET", "hook/error?academy=*&envelope=false", tokens.superadmin).body
    assert [shown["id"] for shown in everybody] == [error["id"]]
    assert call("DELETE", f"hook/error/{error['id']}", tokens.academy).status == 200


def test_five_failures_open_the_circuit_and_a_new_target_closes_it(
    subscribe, publish, receiver, call, tokens, until, queue
):
    hook = subscribe(EVENT, "down")
    receiver.answers["down"] = 500
    for number in range(5):
        publish(EVENT, {"id": 310 + number})

    def circuit():
        return call("GET", f"hook/subscribe/{hook}/health", tokens.academy).body["circuit"]

    until(lambda: circuit() != "closed")
    change = {"event": EVENT, "target": receiver.url("up")}
    assert call("PUT", f"hook/subscribe/{hook}", tokens.academy, change).status == 200
    assert circuit() == "closed"
    publish(EVENT, {"id": 315})

    # The new one comes at once, and those that waited come after it.
    def arrived():
        return {delivery.payload["id"] for delivery in receiver.deliveries["up"]}

    until(lambda: arrived() == {310, 311, 312, 313, 314, 315})
    until(lambda: queue("DeliveriesQueue").count() == 0)
