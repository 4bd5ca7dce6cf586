// Live sessions, a page at a time: found by person, opened, and what of their messages is not sent.

import { call, query, randomId } from "./api.js";
import { announce, count, digits, find, guarded, make, masked, now, number, onSubmit, plural, reconcile, remaining, setText } from "./dom.js";
import * as session from "./session.js";

const PAGE = 25;
const AT_ONCE = 4;
const COUNTED = ["sending", "waiting", "unknown", "failed"];

let participant = "";
// The cursors of the pages up to this one; the first page has none.
let cursors = [null];
let page = null;
let unsent = new Map();
let checkedIds = "";
let asked = 0;

const changed = () => document.dispatchEvent(new Event("changed"));

export async function refresh() {
  const ask = ++asked;
  const found = await call("GET", query("session", { limit: PAGE, after: cursors.at(-1), participant }));
  // A newer search or page has been asked for meanwhile.
  if (ask !== asked) return;
  page = found;
  if (page.sessions.length === 0 && cursors.length > 1) return goTo([null]);
  paint();
  await Promise.all([session.refresh(), checkNewPage()]);
}

function paint() {
  const { sessions, total_sessions: total, next } = page;
  setText(find("sessions-total"), participant ? `${count(total)} of ${masked(participant)}` : count(total));
  reconcile(find("session-rows"), sessions, (it) => it.id, makeRow, (row, it) => row.update(it));
  find("session-rows").closest("table").hidden = sessions.length === 0;
  find("sessions-empty").hidden = sessions.length > 0;
  setText(find("sessions-empty"), participant ? "This person is in no live session." : "No live session.");
  const before = (cursors.length - 1) * PAGE;
  const range = sessions.length === 0 ? "" : `${count(before + 1)}–${count(before + sessions.length)} of ${count(total)}`;
  setText(find("page-shown"), range);
  find("page-first").disabled = find("page-previous").disabled = cursors.length === 1;
  find("page-next").disabled = !next;
  find("page-first").parentElement.hidden = total <= PAGE && cursors.length === 1;
}

function goTo(newCursors) {
  cursors = newCursors;
  return refresh();
}

function makeRow({ id, participant_a: a, participant_b: b, virtual_tn: tn }) {
  const expires = make("td", { "data-label": "Expires" });
  const notSent = make("td", { "data-label": "Not sent" });
  const name = `Show the session of the numbers ending in ${a.slice(-4)} and ${b.slice(-4)}`;
  const show = make("button", { type: "button", "aria-label": name, onclick: () => session.open(id) }, "Show");
  const cell = (label, value) => make("td", { "data-label": label }, number(value));
  const row = make("tr", {}, cell("A", a), cell("B", b), cell("Through", tn), expires, notSent, make("td", { class: "actions" }, show));
  row.update = ({ expiry_date: expiry }) => {
    setText(expires, remaining(expiry));
    expires.title = expiry ? `${expiry} UTC` : "";
    row.classList.toggle("current", session.openId() === id);
    const counts = unsent.get(id);
    const parts = counts ? COUNTED.filter((state) => counts[state] > 0).map((state) => `${counts[state]} ${state}`) : [];
    setText(notSent, parts.join(", ") || "–");
    notSent.className = counts?.failed || counts?.unknown ? "bad" : "";
  };
  return row;
}

async function checkNewPage() {
  const ids = page.sessions.map((it) => it.id).join();
  if (ids !== checkedIds) await check();
}

// Counts the messages of the sessions shown that are not sent. That is a call for each session, so it is done once for
// a page, and when the user asks for it.
async function check() {
  const shown = page.sessions;
  checkedIds = shown.map((it) => it.id).join();
  const found = new Map();
  const rest = [...shown];
  const work = async () => {
    for (let next = rest.shift(); next; next = rest.shift()) {
      const { messages } = await session.messages(next.id);
      const counts = Object.fromEntries(COUNTED.map((state) => [state, messages.filter((it) => it.state === state).length]));
      found.set(next.id, counts);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } catch (error) {
    checkedIds = "";
    throw error;
  }
  unsent = found;
  setText(find("unsent-checked"), `Messages of ${plural(shown.length, "session")} counted at ${now()}`);
  paint();
}

function search() {
  const typed = find("search").value.trim();
  const isId = /^[0-9a-f]{32}$/i.test(typed);
  if (isId) return session.open(typed.toLowerCase());
  participant = digits(typed);
  return goTo([null]);
}

// Minutes as the API takes them; what is no number it refuses, and says why.
export function minutes(typed) {
  const trimmed = typed.trim();
  if (trimmed === "") return null;
  return /^\d+$/.test(trimmed) ? Number(trimmed) : trimmed;
}

export async function openSession(body, key = randomId()) {
  const opened = await call("POST", "session", body, { "idempotency-key": key });
  announce(`Session opened through ${masked(opened.virtual_tn)}.`);
  return opened;
}

export function start() {
  session.start(minutes);
  onSubmit(find("session-search"), async () => {
    try {
      await search();
    } catch (error) {
      // A search that failed must not fail again with each refresh.
      participant = "";
      throw error;
    }
  });
  // An emptied field shows everything again.
  find("search").addEventListener("input", () => {
    if (find("search").value !== "" || participant === "") return;
    participant = "";
    goTo([null]).catch(() => {});
  });
  const form = find("session-open");
  // The same key until it succeeds: a call whose answer was lost opens no second session.
  let key = randomId();
  form.addEventListener("input", () => (key = randomId()));
  onSubmit(form, async () => {
    const body = {
      participant_a: digits(find("open-a").value),
      participant_b: digits(find("open-b").value),
      expiry_window: minutes(find("open-expiry").value),
      virtual_tn: digits(find("open-tn").value) || null,
    };
    const opened = await openSession(body, key);
    key = randomId();
    form.reset();
    find("session-new").open = false;
    changed();
    await session.open(opened.session_id);
  });
  find("page-first").addEventListener("click", () => goTo([null]).catch(() => {}));
  find("page-previous").addEventListener("click", () => goTo(cursors.slice(0, -1)).catch(() => {}));
  find("page-next").addEventListener("click", () => page.next && goTo([...cursors, page.next]).catch(() => {}));
  find("unsent-check").addEventListener("click", guarded(find("unsent-check"), find("unsent-checked"), check));
}
