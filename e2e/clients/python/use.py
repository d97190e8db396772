"""Uses the API through its generated client.

usage: use.py API TOKEN
"""

import sys

from academy_hooks_client import AuthenticatedClient
from academy_hooks_client.api.catalogue import list_events
from academy_hooks_client.api.hooks import get_hook, list_hooks, subscribe, unsubscribe, update_hook
from academy_hooks_client.api.publishing import publish_event
from academy_hooks_client.api.samples import get_hook_sample
from academy_hooks_client.models import (
    CatalogEntry,
    Details,
    EnvelopeHook,
    ErrorBody,
    EventDraft,
    Hook,
    HookDraft,
    Payload,
    PublishedEvent,
)


def main(api: str, token: str) -> None:
    client = AuthenticatedClient(base_url=api, token=token, prefix="Token", raise_on_unexpected_status=True)

    events = list_events.sync(client=client, app="admissions")
    assert isinstance(events, list)
    first: CatalogEntry = events[0]
    assert first.app == "admissions"

    draft = HookDraft(event="cohort_user.added", target="https://hooks.example.com/python", service_id="python")
    made = subscribe.sync(client=client, body=draft)
    assert isinstance(made, Hook)
    assert (made.event, made.service_id, made.last_call_at) == (draft.event, "python", None)
    assert made.created_at.utcoffset() is not None

    read = get_hook.sync(made.id, client=client, expand="owner")
    assert isinstance(read, Hook)
    assert read.owner == "admin"

    page = list_hooks.sync(client=client, service_id="python")
    assert isinstance(page, EnvelopeHook)
    assert (page.count, page.next_, [hook.id for hook in page.results]) == (1, None, [made.id])
    rows = list_hooks.sync(client=client, service_id="python", envelope=False)
    assert isinstance(rows, list)
    assert [hook.id for hook in rows] == [made.id]

    draft.target = "https://hooks.example.com/python/2"
    changed = update_hook.sync(made.id, client=client, body=draft)
    assert isinstance(changed, Hook)
    assert changed.target == draft.target

    sample = get_hook_sample.sync(made.id, client=client)
    assert isinstance(sample, Payload)
    assert "id" in sample

    def event(name: str) -> EventDraft:
        return EventDraft(event=name, academy=None, payload=Payload.from_dict({"id": 9876}))

    one = publish_event.sync(client=client, body=event("form_entry.added"), idempotency_key="python-1")
    assert isinstance(one, PublishedEvent)
    assert (one.id, one.deliveries) == ("python-1", 0)
    several = publish_event.sync(client=client, body=[event("form_entry.added"), event("no.such_event")])
    assert isinstance(several, list)
    published, refused = several
    assert isinstance(published, PublishedEvent)
    assert isinstance(refused, ErrorBody)
    assert (published.deliveries, refused.slug) == (0, "invalid-event")

    draft.target = "ftp://hooks.example.com"
    wrong = update_hook.sync(made.id, client=client, body=draft)
    assert isinstance(wrong, ErrorBody)
    assert (wrong.status_code, wrong.slug) == (400, "validation-error")
    messages: list[str] = wrong["target"]
    assert messages

    gone = unsubscribe.sync(made.id, client=client)
    assert isinstance(gone, Details)
    assert gone.details == "Unsubscribed from 1 hooks"
    missing = get_hook.sync_detailed(made.id, client=client)
    assert isinstance(missing.parsed, ErrorBody)
    assert (missing.status_code, missing.parsed.slug) == (404, "hook-not-found")


if __name__ == "__main__":
    main(*sys.argv[1:])
