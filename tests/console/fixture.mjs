// The real program, and Chromium in front of it.

import chromium from "@sparticuz/chromium";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium as playwright } from "playwright-core";

// How long a test waits for a condition, on a slow machine too.
export const WAIT_MS = 60_000;

// Starts the program that SMS_PROXY names in a folder of its own, with these settings and no others.
export async function serve(settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), "sms-proxy-"));
  const env = { BIND_ADDR: "127.0.0.1:0", MAINTENANCE_INTERVAL: "1", FLOWROUTE_MAX_PER_SECOND: "0", ...settings };
  const child = spawn(resolve(process.env.SMS_PROXY), [], { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(child, "exit");
  // It must not outlive a test that is stopped.
  process.on("exit", () => child.kill("SIGKILL"));
  let log = "";
  const listening = new Promise((resolve, reject) => {
    child.stderr.on("data", (data) => {
      log += data;
      const found = log.match(/listening on (http:\S+)/);
      if (found) resolve(found[1]);
    });
    child.on("error", reject);
    child.on("exit", () => reject(new Error(`the service ended: ${log}`)));
    setTimeout(() => reject(new Error(`the service does not listen: ${log}`)), WAIT_MS).unref();
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), WAIT_MS);
    await ended;
    clearTimeout(late);
    await rm(folder, { recursive: true });
  };
  const url = await listening.catch(async (error) => {
    child.kill("SIGKILL");
    throw error;
  });
  const call = async (method, path, body, headers = {}) => {
    const init = { method, headers: { "content-type": "application/json", ...headers }, body: body && JSON.stringify(body) };
    const response = await fetch(new URL(path, url), init);
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.text();
  };
  return { url, call, stop };
}

// Starts Chromium. Two files of tests run at a time, each with one of its own.
export async function browse() {
  chromium.setGraphicsMode = false;
  // Its own sandbox needs rights that a container does not have. It loads our page only.
  return playwright.launch({ executablePath: await chromium.executablePath(), args: ["--no-sandbox"] });
}

// Opens the console in a fresh profile. `page.faults` collects what must not happen: scripts that fail or are refused,
// dialogs, and requests to others.
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("dialog", (dialog) => {
    page.faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => {
    // Chromium reports each answer of 400 and above, which the page expects.
    const isStatus = message.text().startsWith("Failed to load resource: the server responded");
    if (message.type() === "error" && !isStatus) page.faults.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(url).origin)) page.faults.push(`request to ${request.url()}`);
  });
  await page.goto(`${url}/console`);
  return page;
}

// Closes a page, on which nothing may have happened that must not.
export async function close(page) {
  // A call that is on its way is of no interest any more.
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await page.context().close();
  assert.deepEqual(page.faults, []);
}

// The two phones of a page.
export function phones(page) {
  const phone = (letter) => ({
    thread: page.getByRole("log", { name: `Messages on Phone ${letter}` }),
    async text(words) {
      await page.getByLabel(`Text from Phone ${letter}`).fill(words);
      await page.getByRole("button", { name: `Send from Phone ${letter}` }).click();
    },
    async become(number) {
      await page.getByRole("button", { name: `Change the number of Phone ${letter}` }).click();
      await page.getByLabel(`Phone ${letter}’s number`).fill(number);
      await page.keyboard.press("Enter");
    },
  });
  return [phone("A"), phone("B")];
}

// Connects the phones; the session expires as this option says.
export async function connect(page, expires = "never") {
  await page.getByLabel("Session expires").selectOption(expires);
  await page.getByRole("button", { name: "Connect the phones" }).click();
  await page.getByText("Connected. Both phones text this number.").waitFor();
}
