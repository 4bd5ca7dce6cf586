// A life of a session by a client that was generated from the OpenAPI document: SMS_PROXY_URL and API_KEY say where.

import createClient from "openapi-fetch";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { paths } from "./api.d.ts";

const { SMS_PROXY_URL: baseUrl = "", API_KEY: key = "", WEBHOOK_TOKEN: token = "" } = process.env;
const client = createClient<paths>({ baseUrl, headers: { "x-api-key": key } });

const TN = "12062992129";
const [ALICE, BOB] = ["12065551212", "12065551213"];

test("a session lives as the document says", async () => {
  const health = await client.GET("/health");
  assert.equal(health.data?.status, "ok");

  const added = await client.POST("/tn", { body: { value: TN } });
  assert.equal(added.data?.value, TN);

  const opening = {
    params: { header: { "idempotency-key": "order-4711" } },
    body: { participant_a: ALICE, participant_b: BOB, expiry_window: 10 },
  };
  const opened = await client.POST("/session", opening);
  assert.ok(opened.data);
  const { session_id: id, virtual_tn, expiry_date } = opened.data;
  assert.equal(virtual_tn, TN);
  assert.match(expiry_date ?? "", /^\d{4}-/);
  const again = await client.POST("/session", opening);
  assert.equal(again.data?.session_id, id);

  const posted = await client.POST("/", {
    params: { query: { token } as { m?: string } },
    body: { to: TN, from: ALICE, body: "hello", id: "mdr2-1" },
    parseAs: "text",
  });
  assert.equal(posted.response.status, 200);
  const list = await client.GET("/message", { params: { query: { session_id: id, limit: 1000 } } });
  assert.deepEqual(list.data?.messages.map(({ kind, from }) => [kind, from]), [
    ["start", "service"],
    ["start", "service"],
    ["relay", "participant_a"],
  ]);
  const sandbox = await client.GET("/sandbox/messages");
  const [relayed] = sandbox.data?.messages ?? [];
  assert.deepEqual([relayed?.to, relayed?.from, relayed?.body], [BOB, TN, "hello"]);

  const path = { params: { path: { id } } };
  const changed = await client.PATCH("/session/{id}", { ...path, body: { expiry_window: null } });
  assert.equal(changed.data?.expiry_date, null);
  const tn = await client.GET("/tn/{value}", { params: { path: { value: TN } } });
  assert.equal(tn.data?.session_id, id);
  const inUse = await client.DELETE("/tn", { body: { value: TN } });
  assert.equal(inUse.error?.reason, "tn_in_use");

  const ended = await client.DELETE("/session/{id}", path);
  assert.equal(ended.data?.session_id, id);
  const gone = await client.GET("/session/{id}", path);
  assert.equal(gone.response.status, 404);
  assert.equal(gone.error?.reason, "session_not_found");
  const pool = await client.GET("/tn");
  assert.deepEqual([pool.data?.pool_size, pool.data?.in_use], [1, 0]);

  const stranger = createClient<paths>({ baseUrl });
  const refused = await stranger.GET("/tn");
  assert.equal(refused.response.status, 401);
  assert.equal(refused.error?.reason, "unauthorized");
  // Names that the document does not have do not compile.
  // @ts-expect-error
  await client.POST("/tn", { body: { number: TN } });
  // @ts-expect-error
  assert.equal(tn.data?.number, undefined);
});

test("every call that asks for a key or a token is refused without one", async () => {
  const document = JSON.parse(readFileSync("openapi.json", "utf8"));
  let guarded = 0;
  for (const [path, operations] of Object.entries<Record<string, any>>(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      if (method === "parameters") continue;
      if (!(operation.security ?? document.security).length) continue;
      const url = baseUrl + path.replaceAll(/{\w+}/g, TN);
      const { status } = await fetch(url, { method: method.toUpperCase() });
      assert.equal(status, 401, `${method} ${path}`);
      guarded += 1;
    }
  }
  assert.ok(guarded > 10);
});
