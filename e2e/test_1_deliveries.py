"""What everybody wants of it: somebody subscribes, somebody publishes, and it arrives."""

from receiver import signed

EVENT = "cohort_user.added"


def test_the_operator_lets_people_in(tokens, call, academy_hooks):
    assert call("GET", "hook/event", tokens.academy).status == 200
    assert call("GET", "hook/event", "nobody's-token").status == 401

    listed = academy_hooks("token", "list", "admin").splitlines()
    answer = academy_hooks("token", "issue", "admin", "--expires-in", "1")
    assert call("GET", "hook/event", answer).status == 200
    digits = {line.split()[0] for line in academy_hooks("token", "list", "admin").splitlines()}
    (new,) = digits - {line.split()[0] for line in listed}
    academy_hooks("token", "revoke", new)
    assert call("GET", "hook/event", answer).status == 401


def test_what_is_published_over_http_arrives_signed(subscribe, publish, receiver, call, tokens, until):
    hook = subscribe(EVENT, "http")
    secret = call("GET", f"hook/subscribe/{hook}/secret", tokens.academy).body["secret"]

    payload = {"id": 234, "role": "STUDENT", "user": {"id": 789, "first_name": "Jane"}}
    answer = publish(EVENT, payload, id="cohort-user-234-added")
    assert answer["deliveries"] == 1
    # Again under its id, as after an answer that got lost: it is published once.
    assert publish(EVENT, payload, id="cohort-user-234-added") == answer

    (delivery,) = until(lambda: receiver.deliveries["http"])
    assert (delivery.event, delivery.payload) == (EVENT, payload)
    assert signed(delivery, secret)

    shown = until(lambda: counted(call, tokens, hook))
    assert (shown["total_calls"], shown["last_response_code"]) == (1, 204)
    (attempt,) = call("GET", f"hook/{hook}/attempts?envelope=false", tokens.academy).body
    assert (attempt["delivery_id"], attempt["code"]) == (delivery.id, 204)
    masked = payload | {"user": {"id": 789, "first_name": "J***"}}
    assert call("GET", f"hook/{hook}/sample", tokens.academy).body == masked
    assert len(receiver.deliveries["http"]) == 1


def counted(call, tokens, hook):
    """The hook, when a delivery has been counted."""
    shown = call("GET", f"hook/subscribe/{hook}", tokens.academy).body
    return shown if shown["total_calls"] else None


def test_an_owner_manages_its_hooks(subscribe, call, tokens, receiver):
    hook = subscribe(EVENT, "managed")
    (listed,) = call("GET", "hook/subscribe?envelope=false", tokens.academy).body
    assert listed["id"] == hook
    everybody = call("GET", "hook/subscribe?academy=*&envelope=false", tokens.superadmin).body
    assert [shown["id"] for shown in everybody] == [hook]

    # Another event is another place in the table: the hook moves there.
    change = {"event": "assignment.assignment_created", "target": receiver.url("managed")}
    assert call("PUT", f"hook/subscribe/{hook}", tokens.academy, change).body["event"] == change["event"]
    before = call("GET", f"hook/subscribe/{hook}/secret", tokens.academy).body["secret"]
    after = call("POST", f"hook/subscribe/{hook}/secret/rotate", tokens.academy).body["secret"]
    assert before != after
    assert call("GET", f"hook/subscribe/{hook}/health", tokens.academy).body["circuit"] == "closed"
    # The function itself makes this call: it has the way out that it needs.
    assert call("POST", f"hook/{hook}/ping", tokens.academy).body["code"] == 204


def test_a_hook_that_moves_gets_nothing_more_of_what_it_was_for(
    subscribe, publish, receiver, call, tokens, until, queue, held
):
    hook = subscribe(EVENT, "moved")
    with held("DeliverDeliveries"):
        publish(EVENT, {"id": 241})
        change = {"event": "assignment.assignment_created", "target": receiver.url("moved")}
        assert call("PUT", f"hook/subscribe/{hook}", tokens.academy, change).status == 200
    until(lambda: queue("DeliveriesQueue").count() == 0)
    assert not receiver.deliveries["moved"]


def test_a_superadmin_hears_every_academy(publish, receiver, call, tokens, until):
    answer = call("POST", "hook/subscribe", tokens.superadmin, {"event": EVENT, "target": receiver.url("all")})
    publish(EVENT, {"id": 235})
    until(lambda: receiver.deliveries["all"])
    assert call("DELETE", f"hook/subscribe/{answer.body['id']}", tokens.superadmin).status == 200


def test_a_change_is_the_events_that_it_is(subscribe, receiver, call, tokens, until):
    subscribe(EVENT, "change")
    cohort = {"id": 12, "academy": {"slug": "downtown-campus"}}
    record = {"id": 236, "cohort": cohort, "educational_status": "ACTIVE"}
    change = {"model": "admissions.CohortUser", "before": None, "after": record}
    answer = call("POST", "change", tokens.publisher, change)
    assert answer.status == 202, answer
    # The new record's status is an event of its own, which no hook is for.
    found = {event["event"]: event["deliveries"] for event in answer.body["events"]}
    assert found == {EVENT: 1, "cohort_user.edu_status_updated": 0}
    (delivery,) = until(lambda: receiver.deliveries["change"])
    assert (delivery.event, delivery.payload["id"]) == (EVENT, 236)


def test_what_is_put_on_the_bus_arrives(subscribe, put, receiver, until):
    subscribe(EVENT, "bus")
    detail = {"academy": "downtown-campus", "payload": {"id": 237}, "id": "cohort-user-237-added"}
    put("breathecode.admissions", EVENT, detail)
    (delivery,) = until(lambda: receiver.deliveries["bus"])
    assert (delivery.event, delivery.payload) == (EVENT, {"id": 237})


def test_wrong_event_of_the_bus_is_dead_lettered_and_resent(
    put, receiver, call, tokens, until, queue, academy_hooks
):
    dead = queue("DeadEventsQueue")
    # Nobody has told the deployment of this academy.
    put("breathecode.admissions", EVENT, {"academy": "lisbon", "payload": {"id": 238}})
    until(lambda: dead.count() == 1)
    assert "Unexpected academy lisbon" in academy_hooks("bus", "peek")

    # What a superadmin hears shows when it is published after all.
    answer = call("POST", "hook/subscribe", tokens.superadmin, {"event": EVENT, "target": receiver.url("late")})
    academy_hooks("academy", "add", "lisbon")
    # The look at it has hidden the message.
    dead_messages_are_back(dead, until)
    academy_hooks("bus", "resend")
    (delivery,) = until(lambda: receiver.deliveries["late"])
    assert delivery.payload == {"id": 238}
    assert dead.count() == 0
    assert call("DELETE", f"hook/subscribe/{answer.body['id']}", tokens.superadmin).status == 200


def dead_messages_are_back(dead, until):
    until(lambda: int(dead.attributes()["ApproximateNumberOfMessages"]) == 1, 45)


def test_what_another_source_puts_on_the_bus_is_none_of_ours(subscribe, put, receiver, until, queue):
    subscribe(EVENT, "sources")
    foreign, ours = ({"academy": "downtown-campus", "payload": {"id": number}} for number in (239, 240))
    put("breathecode.nobody", EVENT, foreign)
    put("breathecode.admissions", EVENT, ours)
    until(lambda: receiver.deliveries["sources"])
    until(lambda: queue("EventsQueue").count() == 0)
    until(lambda: queue("DeliveriesQueue").count() == 0)
    assert [delivery.payload["id"] for delivery in receiver.deliveries["sources"]] == [240]
    assert queue("DeadEventsQueue").count() == 0
