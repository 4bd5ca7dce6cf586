// Takes the pictures in docs/: `SMS_PROXY=… npm run pictures`.

import { fileURLToPath } from "node:url";
import { browse, close, connect, open, phones, serve } from "./fixture.mjs";

const TNS = 14;

const picture = (name) => fileURLToPath(new URL(`../../docs/console-${name}.png`, import.meta.url));
const look = { reducedMotion: "reduce", locale: "en-US" };

const service = await serve({ ORG_NAME: "Cabs & Co" });
const browser = await browse();
try {
  const page = await open(browser, service.url, { ...look, viewport: { width: 1160, height: 650 }, deviceScaleFactor: 1.5 });
  const [a, b] = phones(page);
  await connect(page, "after 10 minutes");
  await a.text("I am at the door.");
  await b.thread.getByText("I am at the door.").waitFor();
  await b.text("Coming down!");
  await a.thread.getByText("Coming down!").waitFor();
  await a.text("Take your time.");
  await b.thread.getByText("Take your time.").waitFor();
  // The message that says what has happened goes after a while.
  await page.waitForFunction(() => document.getElementById("status").textContent === "");
  await page.evaluate(() => {
    document.activeElement.blur();
    scrollTo(0, 0);
  });
  await page.mouse.move(0, 0);
  await page.screenshot({ path: picture("phones") });

  const dark = await open(browser, service.url, { ...look, viewport: { width: 1160, height: 1180 }, colorScheme: "dark" });
  await dark.getByText("In use since").waitFor();
  for (let n = 0; n < TNS; n += 1) {
    await service.call("POST", "/tn", { value: String(12065550140 + n) });
    const isOpened = n % 2 === 0;
    const people = { participant_a: String(12065551200 + n), participant_b: String(12065551300 + n) };
    if (isOpened) await service.call("POST", "/session", { ...people, expiry_window: n % 4 ? null : 60 * (n + 1) });
    await dark.getByRole("button", { name: "Refresh" }).click();
    await dark.waitForTimeout(700);
  }
  for (const n of [1, 4]) await service.call("PATCH", `/tn/${12065550140 + n}`, { draining: true });
  await dark.getByRole("button", { name: "Refresh" }).click();
  await dark.getByRole("img", { name: "2 draining" }).waitFor();
  await dark.getByRole("button", { name: /^Show the session .* 0101 and 0102/ }).click();
  await dark.getByText("5 messages").waitFor();
  await dark.locator("#detail-title").blur();
  await dark.locator("#sessions").evaluate((section) => scrollTo(0, section.offsetTop - 70));
  await dark.setViewportSize({ width: 1160, height: 860 });
  await dark.screenshot({ path: picture("sessions") });
  await dark.locator("#pool").evaluate((section) => scrollTo(0, section.offsetTop - 70));
  await dark.setViewportSize({ width: 1160, height: 640 });
  await dark.screenshot({ path: picture("pool") });

  const small = await open(browser, service.url, { ...look, viewport: { width: 390, height: 844 }, deviceScaleFactor: 1.5, isMobile: true });
  await small.getByText("Connected. Both").waitFor();
  await phones(small)[0].thread.getByText("Coming down!").waitFor();
  await small.screenshot({ path: picture("small") });
  for (const done of [page, dark, small]) await close(done);
} finally {
  await browser.close();
  await service.stop();
}
