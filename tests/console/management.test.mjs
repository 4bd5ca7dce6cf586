// Keys, the pool, sessions and opt-outs, by clicks.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browse, close, connect, open, phones, serve, WAIT_MS } from "./fixture.mjs";

const KEY = "an-api-key-0123456789";
const [ALICE, BOB, TN] = ["12065551212", "12065551213", "12062992129"];

let browser;
before(async () => (browser = await browse()));
after(() => browser?.close());

async function withService(settings, action) {
  const service = await serve(settings);
  try {
    await action(service);
  } finally {
    await service.stop();
  }
}

test("a wrong key is refused, the right one is taken, and is kept only if the user asks for it", () =>
  withService({ API_KEYS: KEY }, async (service) => {
    const page = await open(browser, service.url);
    const views = page.getByRole("heading", { name: "Live sessions" });
    const enter = async (key, keep) => {
      await page.getByLabel("Key", { exact: true }).fill(key);
      await page.getByLabel("Keep it until this tab is closed").setChecked(keep);
      await page.getByRole("button", { name: "Continue" }).click();
    };
    const kept = () => page.evaluate(() => [sessionStorage.length, localStorage.length, document.cookie]);
    for (const wrong of ["a-wrong-key-0123456789", "ключ", `${KEY}0`]) {
      await page.reload();
      await enter(wrong, true);
      await page.getByText("The service refuses this key.").waitFor();
      assert.equal(await views.isVisible(), false);
      assert.deepEqual(await kept(), [0, 0, ""]);
    }
    await enter(KEY, false);
    await views.waitFor();
    assert.deepEqual(await kept(), [0, 0, ""]);
    await page.reload();
    await enter(KEY, true);
    await views.waitFor();
    assert.deepEqual(await kept(), [1, 0, ""]);
    await page.reload();
    await views.waitFor();
    await page.getByRole("button", { name: "Forget key" }).click();
    await page.getByRole("button", { name: "Continue" }).waitFor();
    assert.deepEqual(await kept(), [0, 0, ""]);
    await close(page);
  }));

test("a life of a session: a number, a session, its messages, another expiry, its end", () =>
  withService({}, async (service) => {
    const page = await open(browser, service.url);
    await page.getByText("The pool has no numbers.").waitFor();
    await page.getByLabel("Add a number").fill("+1 (206) 299-2129");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByRole("img", { name: "1 free, 0 in use, 0 draining" }).waitFor();
    await page.getByLabel("Add a number").fill("2062992129x");
    await page.keyboard.press("Enter");
    await page.locator("#tn-add").getByText("value has a character that is not a digit").waitFor();
    await page.getByLabel("Add a number").fill(TN);
    await page.keyboard.press("Enter");
    await page.locator("#tn-add").getByText("already").waitFor();

    await page.getByText("Open a session", { exact: true }).click();
    await page.getByLabel("Participant A").fill(ALICE);
    await page.getByLabel("Participant B").fill(BOB);
    await page.getByLabel("Expires after minutes").fill("soon");
    await page.getByRole("button", { name: "Open", exact: true }).click();
    await page.locator("#session-open").getByText("expiry_window must be a whole number").waitFor();
    await page.getByLabel("Expires after minutes").fill("30");
    await page.getByRole("button", { name: "Open", exact: true }).click();

    const detail = page.getByRole("article", { name: "Session" });
    await detail.getByText(/Live\. Expires: in (30|29) min/).waitFor();
    await page.getByRole("img", { name: "0 free, 1 in use, 0 draining" }).waitFor();
    const message = (text) => detail.getByRole("listitem").filter({ hasText: text });
    await message("Start, service → A").getByText("sent").waitFor();
    await message("Start, service → B").getByText("sent").waitFor();
    await service.call("POST", "/", { to: TN, from: ALICE, body: "the words of the text", id: "mdr2-1" });
    await message("Text, A → B").getByText("sent").waitFor();
    assert.equal(await page.locator("#sessions").getByText("the words of the text").count(), 0);

    await detail.getByLabel("Expires in minutes").fill("90");
    await detail.getByRole("button", { name: "Set" }).click();
    await detail.getByText("Live. Expires: in 90 min").waitFor();
    await detail.getByRole("button", { name: "Set" }).click();
    await detail.getByText("Live. Expires: never").waitFor();

    await page.getByRole("button", { name: "Remove the number ending in 2129" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.locator("#tns").getByText("end that session first").waitFor();
    await detail.getByRole("button", { name: "End session" }).click();
    // Escape and Cancel end nothing.
    await page.keyboard.press("Escape");
    await detail.getByRole("button", { name: "End session" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await detail.getByText("Live. Expires: never").waitFor();
    await detail.getByRole("button", { name: "End session" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End session" }).click();
    await detail.getByText("Ended.").waitFor();
    await message("End, service → B").getByText("sent").waitFor();
    await page.getByText("No live session.").waitFor();

    await page.getByRole("button", { name: "Drain the number ending in 2129" }).click();
    await page.getByRole("img", { name: "0 free, 0 in use, 1 draining" }).waitFor();
    await page.getByRole("button", { name: "Resume the number ending in 2129" }).click();
    await page.getByRole("img", { name: "1 free, 0 in use, 0 draining" }).waitFor();
    await page.getByRole("button", { name: "Remove the number ending in 2129" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByText("The pool has no numbers.").waitFor();
    await close(page);
  }));

test("without the sandbox there are no phones, and all else is there", () =>
  withService({ FLOWROUTE_ACCESS_KEY: "access", FLOWROUTE_SECRET_KEY: "secret" }, async (service) => {
    const page = await open(browser, service.url);
    await page.getByText("The pool has no numbers.").waitFor();
    await page.getByText("No live session.").waitFor();
    assert.equal(await page.getByText("Two phones").isVisible(), false);
    assert.equal(await page.getByRole("link", { name: "Phones" }).isVisible(), false);
    await close(page);
  }));

test("a service that cannot be reached is reported, and the page goes on when it can", () =>
  withService({}, async (service) => {
    const page = await open(browser, service.url);
    await page.getByText("The pool has no numbers.").waitFor();
    await page.route(/\/(tn|session)\?/, (route) => route.abort());
    await page.getByText("The service cannot be reached.").waitFor();
    await page.unrouteAll({ behavior: "wait" });
    await page.getByText("The service cannot be reached.").waitFor({ state: "hidden" });
    // Chromium reports the aborted calls.
    page.faults = page.faults.filter((fault) => !fault.includes("net::ERR_FAILED"));
    await close(page);
  }));

test("an opt-out is found by its person and lifted", () =>
  withService({}, async (service) => {
    const page = await open(browser, service.url);
    await connect(page);
    await phones(page)[0].text("STOP");
    await phones(page)[0].thread.getByText("taken by the service").waitFor();
    const look = async (number) => {
      await page.getByLabel("Person", { exact: true }).fill(number);
      await page.getByRole("button", { name: "Look up" }).click();
    };
    await look("12065550102");
    await page.getByText("•••• 0102 has opted out of no number.").waitFor();
    await look("12065550101");
    await page.getByText("•••• 0101 has opted out of 1 number.").waitFor();
    await page.getByRole("button", { name: "Lift" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Lift" }).click();
    await page.getByText("•••• 0101 has opted out of no number.").waitFor();
    await look("911");
    await page.locator("#opt-out-search .problem").getByText("number").waitFor();
    await close(page);
  }));

test("the outbox of the service is in plain sight, whatever sessions are shown", () =>
  withService({}, async (service) => {
    const page = await open(browser, service.url);
    const figures = page.locator("#outbox-figures");
    await figures.getByText("Oldest waits").waitFor();
    assert.match(await figures.innerText(), /Waiting\s+0\s+Oldest waits\s+–\s+Unknown\s+0\s+Failed in the last hour\s+0/);
    // The sandbox takes every message, so the answer is changed on its way.
    await page.route(/\/status$/, async (route) => {
      const answer = await (await route.fetch()).json();
      answer.outbox = { waiting: 1000, oldest_seconds: 7500, unknown: 2, failed_last_hour: 3, failed_counted_by: "process" };
      answer.at_least = ["outbox.waiting", "outbox.oldest_seconds"];
      await route.fulfill({ json: answer });
    });
    await page.getByRole("button", { name: "Refresh" }).click();
    await figures.getByText("at least 1,000").waitFor();
    assert.match(await figures.innerText(), /Oldest waits\s+at least 2 h\s+Unknown\s+2\s+Failed in the last hour\s+3/);
    await page.getByText("Failed are those that the process that answered has counted").waitFor();
    await close(page);
  }));

test("the messages of the sessions shown: what waits, is unknown or has failed, and why", () =>
  withService({}, async (service) => {
    await service.call("POST", "/tn", { value: TN });
    await service.call("POST", "/session", { participant_a: ALICE, participant_b: BOB });
    const page = await open(browser, service.url);
    // The sandbox takes every message, so the answer is changed on its way.
    await page.route(/\/message\?/, async (route) => {
      const answer = await (await route.fetch()).json();
      answer.messages[0].state = "waiting";
      answer.messages[0].reason = "not taken: 503";
      answer.messages[1].state = "failed";
      answer.messages[1].reason = "refused with 422: Invalid number";
      answer.messages[1].delivery = { status: "undelivered", code: "1110", date: "2026-11-23 04:55:00" };
      await route.fulfill({ json: answer });
    });
    await page.getByRole("button", { name: "Check again" }).click();
    await page.locator("#session-rows").getByText("1 waiting, 1 failed").waitFor();
    await page.getByRole("button", { name: /^Show the session/ }).click();
    const detail = page.getByRole("article", { name: "Session" });
    await detail.getByText("refused with 422: Invalid number").waitFor();
    await detail.getByText("Receipt: undelivered (1110), 2026-11-23 04:55:00 UTC").waitFor();
    await close(page);
  }));

test("10,000 sessions are listed in pages, and one is found by its person", { timeout: 600_000 }, () =>
  withService({ SESSIONS_PER_TN: "10000" }, async (service) => {
    await service.call("POST", "/tn", { value: TN });
    const people = Array.from({ length: 10_000 }, (_, at) => [12070000000 + at, 12080000000 + at].map(String));
    const work = people.entries();
    const openSome = async () => {
      for (const [, [a, b]] of work) await service.call("POST", "/session", { participant_a: a, participant_b: b });
    };
    await Promise.all(Array.from({ length: 32 }, openSome));

    const page = await open(browser, service.url);
    await page.locator("#sessions-total").getByText("10,000", { exact: true }).waitFor();
    const rows = page.locator("#session-rows tr");
    assert.equal(await rows.count(), 25);
    await page.getByText("1–25 of 10,000").waitFor();
    await page.getByRole("button", { name: "Next" }).click();
    await page.getByText("26–50 of 10,000").waitFor();
    await page.getByRole("button", { name: "Next" }).click();
    await page.getByText("51–75 of 10,000").waitFor();
    await page.getByRole("button", { name: "Previous" }).click();
    await page.getByText("26–50 of 10,000").waitFor();
    await page.getByLabel("Find by person or session id").fill("1 208 000 9876");
    await page.getByRole("button", { name: "Find" }).click();
    await page.locator("#sessions-total").getByText("1 of •••• 9876").waitFor();
    assert.equal(await rows.count(), 1);
    await rows.getByRole("button", { name: "number ending in 9876, show" }).last().click();
    await rows.getByText("+1 208 000 9876").waitFor();
    // What was shown stays shown when the list is read again.
    const updated = await page.locator("#updated").textContent();
    await page.waitForFunction((before) => document.getElementById("updated").textContent !== before, updated, { timeout: WAIT_MS });
    assert.equal(await rows.getByText("+1 208 000 9876").count(), 1);
    await page.getByLabel("Find by person or session id").fill("12090000000");
    await page.keyboard.press("Enter");
    await page.getByText("This person is in no live session.").waitFor();
    await page.getByLabel("Find by person or session id").fill("");
    await page.getByText("1–25 of 10,000").waitFor();
    await close(page);
  }));
