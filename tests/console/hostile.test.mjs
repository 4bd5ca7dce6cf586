// Whatever others write stays text: names, texts, errors, reasons, receipts.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browse, close, connect, open, phones, serve } from "./fixture.mjs";

const ATTACKS = [
  "<img src=x onerror=\"alert('hostile')\">",
  "<script>alert('hostile')</script>",
  "</textarea></p><svg onload=alert(1)>",
  "<iframe srcdoc='<script>parent.hostile=1</script>'></iframe>",
  "javascript:alert(1)",
  "&lt;b&gt; &amp; &#60;i&#62;",
  "{{7*7}} ${alert(1)}",
];

let browser;
before(async () => (browser = await browse()));
after(() => browser?.close());

// The elements of the page that no part of it has put there.
const strange = (page) => page.locator("img, iframe, object, embed, body script, [onerror], [onload], svg:not(#pool-history), b, i").count();

test("a hostile name and hostile texts are shown letter by letter, and no element is made of them", async () => {
  const service = await serve({ ORG_NAME: "<img src=x onerror=alert(1)>" });
  try {
    const page = await open(browser, service.url);
    const [a, b] = phones(page);
    await connect(page);
    await b.thread.getByText("[<IMG SRC=X ONERROR=ALERT(1)>]: Your new session").waitFor();
    for (const attack of ATTACKS) {
      await a.text(attack);
      await b.thread.getByText(attack, { exact: true }).waitFor();
      await a.thread.getByText(attack, { exact: true }).waitFor();
    }
    await b.become("<img src=x onerror=alert(1)> 1 206 555 0199");
    assert.equal(await strange(page), 0);
    await close(page);
  } finally {
    await service.stop();
  }
});

test("a hostile answer of the service is shown letter by letter, and no element is made of it", async () => {
  const service = await serve();
  try {
    await service.call("POST", "/tn", { value: "12062992129" });
    await service.call("POST", "/session", { participant_a: "12065551212", participant_b: "12065551213" });
    const page = await open(browser, service.url);
    const attack = ATTACKS[0];
    const hostile = (value) => {
      if (typeof value === "string") return /^\d{4}-\d\d-/.test(value) ? value : attack;
      if (Array.isArray(value)) return value.map(hostile);
      if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, hostile(it)]));
      return value;
    };
    await page.route(/\/message\?/, async (route) => {
      const answer = hostile(await (await route.fetch()).json());
      for (const message of answer.messages) message.delivery = { status: attack, code: attack, date: attack };
      answer.messages.forEach((message, at) => (message.id += at));
      answer.next = null;
      await route.fulfill({ json: answer });
    });
    await page.getByRole("button", { name: /^Show the session/ }).click();
    await page.locator("#detail").getByText(`Receipt: ${attack} (${attack}), ${attack} UTC`).first().waitFor();
    await page.unrouteAll({ behavior: "wait" });

    await page.route(/\/(tn|session)(\?|$)/, (route) =>
      route.fulfill({ status: 400, json: { message: attack, reason: attack } }));
    await page.getByLabel("Add a number").fill("12062992130");
    await page.keyboard.press("Enter");
    await page.locator("#tn-add .problem").getByText(attack).waitFor();
    await page.locator("#trouble").getByText(attack).waitFor();
    await page.unrouteAll({ behavior: "wait" });

    await page.route(/\/(tn|session)\?/, async (route) =>
      route.fulfill({ json: hostile(await (await route.fetch()).json()) }));
    await page.getByRole("button", { name: "Refresh" }).click();
    await page.locator("#tns").getByRole("button", { name: "number ending in" }).first().click();
    await page.locator("#tns").getByText(attack).waitFor();
    assert.equal(await strange(page), 0);
    await close(page);
  } finally {
    await service.stop();
  }
});

test("a script that made elements of a text, or a script of it, would be refused by the browser", async () => {
  const service = await serve();
  try {
    const page = await open(browser, service.url);
    await page.getByRole("heading", { name: "Pool" }).waitFor();
    const refused = await page.evaluate(() => {
      const script = document.createElement("script");
      const refused = [() => (document.body.innerHTML += "<b>hostile</b>"), () => (script.text = "window.hostile = 1")].map((attempt) => {
        try {
          attempt();
          return false;
        } catch (error) {
          return error instanceof TypeError;
        }
      });
      document.body.append(script);
      return [...refused, window.hostile === undefined];
    });
    assert.deepEqual(refused, [true, true, true]);
    assert.ok(page.faults.every((fault) => fault.includes("TrustedHTML") || fault.includes("TrustedScript")), page.faults.join());
    page.faults = [];
    await close(page);
  } finally {
    await service.stop();
  }
});
