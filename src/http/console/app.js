// Starts the page: asks for a key if the service wants one, then keeps the views up to date.

import { call, hasKey, restoreKey, setKey, whenRefused } from "./api.js";
import { find, now, onSubmit, setText } from "./dom.js";
import * as optOuts from "./opt_outs.js";
import * as outbox from "./outbox.js";
import * as phones from "./phones.js";
import * as pool from "./pool.js";
import * as sessions from "./sessions.js";

const VIEWS_MS = 5000;
const PHONES_MS = 2000;

let isRunning = false;
let viewsAt = 0;
let turn;

function show(...ids) {
  for (const id of ["loading", "retry", "sign-in", "views"]) find(id).hidden = !ids.includes(id);
  for (const id of ["nav", "controls"]) find(id).hidden = !ids.includes("views");
}

function trouble(text) {
  setText(find("trouble"), text);
  find("trouble").hidden = text === "";
}

function signIn(problem) {
  isRunning = false;
  // A key that was refused is not kept.
  setKey("", false);
  show("sign-in");
  trouble("");
  setText(find("sign-in").querySelector(".problem"), problem);
  find("key").focus();
}

// Begins, or asks for a key.
async function begin() {
  try {
    await call("GET", "tn?limit=1");
  } catch (error) {
    // The form for the key is there already.
    if (error.status === 401) return;
    show("retry");
    trouble(error.message);
    return;
  }
  const hasSandbox = await phones.start();
  for (const id of ["phones", "phones-link"]) find(id).hidden = !hasSandbox;
  find("forget").hidden = !hasKey();
  trouble("");
  show("views");
  isRunning = true;
  await refresh();
}

async function refresh() {
  if (!isRunning) return;
  clearTimeout(turn);
  const isDue = Date.now() - viewsAt >= VIEWS_MS - 100;
  if (isDue) viewsAt = Date.now();
  const views = isDue ? [outbox.refresh(), pool.refresh(), sessions.refresh()] : [];
  const done = await Promise.allSettled([phones.refresh(isDue), ...views]);
  if (!isRunning) return;
  if (isDue) phones.paint();
  const failed = done.find((result) => result.status === "rejected");
  trouble(failed ? failed.reason.message : "");
  if (isDue && !failed) setText(find("updated"), `Updated ${now()}`);
  schedule();
}

function schedule() {
  clearTimeout(turn);
  const isSeen = document.visibilityState === "visible" && find("auto").checked;
  if (isRunning && isSeen) turn = setTimeout(refresh, phones.isShown() ? PHONES_MS : VIEWS_MS);
}

function refreshNow() {
  viewsAt = 0;
  return refresh();
}

whenRefused(() => signIn(hasKey() ? "The service refuses this key." : ""));
onSubmit(find("sign-in"), async () => {
  setKey(find("key").value.trim(), find("keep").checked);
  find("key").value = "";
  await begin();
});
find("forget").addEventListener("click", () => {
  setKey("", false);
  // What the page has shown goes with the key.
  location.reload();
});
find("retry").querySelector("button").addEventListener("click", begin);
find("refresh").addEventListener("click", refreshNow);
find("auto").addEventListener("change", schedule);
document.addEventListener("visibilitychange", schedule);
document.addEventListener("changed", refreshNow);
pool.start();
sessions.start();
optOuts.start();
restoreKey();
begin();
