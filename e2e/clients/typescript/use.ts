// Uses the API through its generated types. usage: node use.js API TOKEN

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, operations, paths } from "./academy-hooks.js";

type Schemas = components["schemas"];

// The operations with an answer of no type. This compiles only while there is none.
type Answer<O> = O extends { responses: infer R }
  ? { [S in keyof R]: R[S] extends { content: infer C } ? C[keyof C] : never }[keyof R]
  : never;
type Untyped = { [O in keyof operations]: unknown extends Answer<operations[O]> ? O : never }[keyof operations];
true satisfies [Untyped] extends [never] ? true : Untyped;

const [api = "", token] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: api, headers: { Authorization: `Token ${token}` } });

const { data: events } = await client.GET("/v1/notify/hook/event", { params: { query: { app: "admissions" } } });
assert.equal(events?.[0]?.app, "admissions");

const draft: Schemas["HookDraft"] = {
  event: "cohort_user.added",
  target: "https://hooks.example.com/typescript",
  service_id: "typescript",
};
const { data: made } = await client.POST("/v1/notify/hook/subscribe", { body: draft });
assert(made);
assert.deepEqual([made.event, made.service_id, made.last_call_at], [draft.event, draft.service_id, null]);

const path = { id: made.id };
const one = "/v1/notify/hook/subscribe/{id}";
const { data: read } = await client.GET(one, { params: { path, query: { expand: "owner" } } });
assert.equal(read?.owner, "admin");

const hooks = (envelope: boolean) =>
  client.GET("/v1/notify/hook/subscribe", { params: { query: { service_id: "typescript", envelope } } });
const { data: page } = await hooks(true);
assert(page && !Array.isArray(page));
assert.deepEqual([page.count, page.next, page.results.map((hook) => hook.id)], [1, null, [made.id]]);
const { data: rows } = await hooks(false);
assert(Array.isArray(rows));
assert.deepEqual(rows.map((hook) => hook.id), [made.id]);

const body = { ...draft, target: "https://hooks.example.com/typescript/2" };
const { data: changed } = await client.PUT(one, { params: { path }, body });
assert.equal(changed?.target, body.target);

const { data: sample } = await client.GET("/v1/notify/hook/{id}/sample", { params: { path } });
assert(sample && "id" in sample);

const event = (name: string): Schemas["EventDraft"] => ({ event: name, academy: null, payload: { id: 9876 } });
const { data: published } = await client.POST("/v1/notify/event", {
  params: { header: { "Idempotency-Key": "typescript-1" } },
  body: event("form_entry.added"),
});
assert(published && !Array.isArray(published));
assert.deepEqual([published.id, published.deliveries], ["typescript-1", 0]);
const { data: several } = await client.POST("/v1/notify/event", {
  body: [event("form_entry.added"), event("no.such_event")],
});
assert(Array.isArray(several));
const [accepted, refused] = several;
assert(accepted && "deliveries" in accepted && refused && "slug" in refused);
assert.deepEqual([accepted.deliveries, refused.slug], [0, "invalid-event"]);

const { error: wrong } = await client.PUT(one, {
  params: { path },
  body: { ...draft, target: "ftp://hooks.example.com" },
});
assert(wrong);
assert.deepEqual([wrong.status_code, wrong.slug], [400, "validation-error"]);
const messages: string[] | undefined = wrong["target"];
assert(messages?.length);

const { data: gone } = await client.DELETE(one, { params: { path } });
assert.equal(gone?.details, "Unsubscribed from 1 hooks");
const { error: missing, response } = await client.GET(one, { params: { path } });
assert.deepEqual([response.status, missing?.slug], [404, "hook-not-found"]);
