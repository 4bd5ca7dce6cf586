// What a newcomer sees: two phones that text each other.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browse, close, connect, open, phones, serve } from "./fixture.mjs";

const TOO_LATE = "An active session was not found.";

let browser;
before(async () => (browser = await browse()));
after(() => browser?.close());

async function withConsole(settings, action) {
  const service = await serve(settings);
  try {
    const page = await open(browser, service.url);
    await action(page, service);
    await close(page);
  } finally {
    await service.stop();
  }
}

test("two phones are connected with one click and text each other, and neither sees the other's number", () =>
  withConsole({}, async (page) => {
    const [a, b] = phones(page);
    await connect(page);
    for (const phone of [a, b]) await phone.thread.getByText("Your new session has started").waitFor();
    await a.text("I am at the door.");
    await b.thread.getByText("I am at the door.").waitFor();
    await a.thread.getByText("taken by the service").waitFor();
    await b.text("Coming down!");
    await a.thread.getByText("Coming down!").waitFor();
    // All numbers on the page are masked until they are clicked, and again after a second click.
    const shown = async () => (await page.locator("body").innerText()).match(/555[ -]?\d{4}/g);
    const own = page.locator("#phone-a .own button");
    assert.equal((await shown())?.filter((found) => !/1212|0100/.test(found)).length ?? 0, 0);
    await own.click();
    assert.equal(await own.textContent(), "+1 206 555 0101");
    assert.deepEqual(await shown(), ["555 0101"]);
    await own.click();
    assert.equal(await own.textContent(), "•••• 0101");
    assert.equal(await b.thread.getByText("0101").count(), 0);
  }));

test("a text after the end of the session is answered, and reaches nobody", () =>
  withConsole({}, async (page) => {
    const [a, b] = phones(page);
    await connect(page);
    await page.getByRole("button", { name: "End session", exact: true }).click();
    await page.getByText("The session is over. A text now is too late.").waitFor();
    await b.thread.getByText("This session has ended").waitFor();
    await a.text("Are you still there?");
    await a.thread.getByText(TOO_LATE).waitFor();
    assert.equal(await b.thread.getByText("Are you still there?").count(), 0);
  }));

test("a text after the session has expired is answered, and reaches nobody", { timeout: 180_000 }, () =>
  withConsole({}, async (page) => {
    const [a, b] = phones(page);
    // The shortest time there is.
    await connect(page, "after 1 minute");
    await page.getByText(/Expires: in \d+ (s|min)/).first().waitFor();
    await page.getByRole("button", { name: "Messages", exact: true }).click();
    const detail = page.getByRole("article", { name: "Session" });
    await detail.getByText("Live.").waitFor();
    await page.getByText("The session is over. A text now is too late.").waitFor({ timeout: 120_000 });
    await b.thread.getByText("This session has expired.").waitFor();
    await detail.getByText("Ended.").waitFor();
    await detail.getByText("Expiry, service → A").waitFor();
    await b.text("Wait for me!");
    await b.thread.getByText(TOO_LATE).waitFor();
    assert.equal(await a.thread.getByText("Wait for me!").count(), 0);
  }));

test("a stranger's text is answered, and reaches nobody", () =>
  withConsole({}, async (page) => {
    const [a, b] = phones(page);
    await connect(page);
    await a.thread.getByText("Your new session has started").waitFor();
    await b.become("(206) 555-0177");
    await page.getByText("The phones are not connected.").waitFor();
    await b.text("Who is there?");
    await b.thread.getByText(TOO_LATE).waitFor();
    assert.equal(await a.thread.getByText("Who is there?").count(), 0);
    // The old number has kept its messages.
    await b.become("12065550102");
    await b.thread.getByText("Your new session has started").waitFor();
    assert.equal(await b.thread.getByText(TOO_LATE).count(), 0);
  }));

test("texts are refused without the webhook's token, and taken with it", () =>
  withConsole({ WEBHOOK_TOKEN: "a-webhook-token-0123456789" }, async (page) => {
    const [a, b] = phones(page);
    await connect(page);
    await a.text("Without the token");
    await a.thread.getByText("not taken: webhook token missing or wrong").waitFor();
    await page.getByLabel("Webhook token").fill("a-webhook-token-0123456789");
    await a.text("With the token");
    await b.thread.getByText("With the token").waitFor();
    assert.equal(await b.thread.getByText("Without the token").count(), 0);
  }));

test("the same text twice is shown twice", () =>
  withConsole({}, async (page) => {
    const [a, b] = phones(page);
    await connect(page);
    for (const times of [1, 2]) {
      await a.text("Hello?");
      await b.thread.getByText("Hello?").nth(times - 1).waitFor();
    }
    assert.equal(await b.thread.getByText("Hello?").count(), 2);
  }));

test("below a base path all works the same, and every call stays below it", async () => {
  const service = await serve({ BASE_PATH: "/sms" });
  try {
    const page = await open(browser, `${service.url}/sms`);
    const paths = [];
    page.on("request", (request) => paths.push(new URL(request.url()).pathname));
    await page.reload();
    const [a, b] = phones(page);
    await connect(page);
    await a.text("I am at the door.");
    await b.thread.getByText("I am at the door.").waitFor();
    assert.ok(paths.includes("/sms/") && paths.includes("/sms/console/app.js"), paths.join());
    assert.deepEqual(paths.filter((path) => !path.startsWith("/sms/")), []);
    await close(page);
  } finally {
    await service.stop();
  }
});

test("two phones with one number, or with a number that is none, are not taken for a pair", () =>
  withConsole({}, async (page) => {
    const [a, b] = phones(page);
    await connect(page);
    await b.become("12065550101");
    await page.getByText("The phones are not connected.").waitFor();
    await page.getByRole("button", { name: "Connect the phones" }).click();
    await page.locator("#pair-problem").getByText("two different numbers").waitFor();
    await b.become("911");
    await page.getByRole("button", { name: "Connect the phones" }).click();
    await page.locator("#pair-problem").getByText("participant_b has 3 digits").waitFor();
    await b.text("Hello?");
    await b.thread.getByText("taken by the service").waitFor();
    assert.equal(await a.thread.getByText("Hello?").count(), 0);
  }));

test("a phone screen has room for both phones", async () => {
  const service = await serve();
  try {
    const page = await open(browser, service.url, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
    const [a, b] = phones(page);
    await connect(page);
    await a.text("I am at the door.");
    await b.thread.getByText("I am at the door.").waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(wide, 0, "the page is wider than the screen");
    await close(page);
  } finally {
    await service.stop();
  }
});
