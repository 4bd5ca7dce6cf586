// The page without a mouse, for screen readers, in both colour schemes and on small screens.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { browse, close, connect, open, phones, serve } from "./fixture.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser;
let service;
before(async () => {
  browser = await browse();
  service = await serve();
});
after(async () => {
  await browser?.close();
  await service?.stop();
});

test("everything is reached with the keyboard alone", async () => {
  const page = await open(browser, service.url);
  await page.getByRole("heading", { name: "Two phones" }).waitFor();
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Skip to content");
  const reached = new Set();
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press("Tab");
    reached.add(await focused());
  }
  const wanted = ["phones-link", "pair-expiry", "Connect the phones", "tn-value", "search", "opt-out-number", "auto"];
  for (const one of wanted) assert.ok(reached.has(one), `${one} is not among ${[...reached].join(", ")}`);
  // Two phones by keyboard: connect, and text at once.
  await page.getByRole("button", { name: "Connect the phones" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.getAttribute("aria-label") === "Text from Phone A");
  await page.keyboard.type("Typed blindly");
  await page.keyboard.press("Enter");
  await phones(page)[1].thread.getByText("Typed blindly").waitFor();
  await page.getByRole("button", { name: "End session", exact: true }).press("Enter");
  await page.getByText("The session is over.").waitFor();
  await close(page);
});

for (const colorScheme of ["light", "dark"]) {
  for (const viewport of [{ width: 1200, height: 900 }, { width: 360, height: 740 }]) {
    test(`axe finds no fault: ${colorScheme}, ${viewport.width} pixels wide`, async () => {
      // axe is put into the page, which the page does not allow.
      const page = await open(browser, service.url, { bypassCSP: true, colorScheme, viewport });
      const check = async (what) => {
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run());
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
        assert.deepEqual(found, [], what);
      };
      await page.getByRole("heading", { name: "Two phones" }).waitFor();
      await connect(page);
      await phones(page)[0].text("Hello?");
      await phones(page)[1].thread.getByText("Hello?").last().waitFor();
      await page.getByText("Things to try").click();
      await page.getByText("Open a session", { exact: true }).click();
      await page.getByRole("button", { name: "Messages", exact: true }).click();
      await page.getByRole("article", { name: "Session" }).getByText("Live.").waitFor();
      await check("all that there is");
      await page.getByRole("article", { name: "Session" }).getByRole("button", { name: "End session" }).click();
      await check("a question");
      await page.getByRole("dialog").getByRole("button", { name: "End session" }).click();
      await page.getByText("The session is over.").waitFor();
      await check("an ended session");
      await close(page);
    });
  }
}
