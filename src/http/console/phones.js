// Two phones that text each other through a service with the sandbox.
//
// A text is posted as Flowroute posts it. What the service would have sent is in the sandbox's list.

import { call, postText, query, randomId } from "./api.js";
import { announce, digits, find, guarded, make, masked, number, reconcile, remaining, setText, time } from "./dom.js";
import { numbers } from "./pool.js";
import { openSession } from "./sessions.js";
import { open as openDetail } from "./session.js";

// Numbers that are reserved for examples.
const PEOPLE = ["12065550101", "12065550102"];
const FIRST_TN = 12065550110;
const TNS_TRIED = 20;
const KEPT = 2000;

// What both phones have sent and received, in order: { at, isOwn, phone, peer, body, note }.
const events = [];
let nextId = 0;
// How often the sandbox has listed each message.
let listed = new Map();
let phones = [];
let session = null;
let hadSession = false;
let reading = null;

const changed = () => document.dispatchEvent(new Event("changed"));
const isNumber = (value) => /^1\d{10}$/.test(value);

export const isShown = () => phones.length > 0;

// Builds the phones if the service has the sandbox. Returns whether it has.
export async function start() {
  try {
    await read();
  } catch {
    return false;
  }
  if (!isShown()) build();
  return true;
}

// Reads the messages, and with `withSession` the session between the phones.
export async function refresh(withSession) {
  if (!isShown()) return;
  reading ??= read().finally(() => (reading = null));
  await Promise.all([reading, withSession ? readSession() : null]);
  paint();
}

async function readSession() {
  const [a, b] = phones.map((phone) => phone.own);
  const isPair = isNumber(a) && isNumber(b) && a !== b;
  const found = isPair ? (await call("GET", query("session", { participant: a }))).sessions : [];
  // A phone may have another number by now.
  if (a !== phones[0].own || b !== phones[1].own) return;
  session = found.find((it) => it.participant_a === b || it.participant_b === b) ?? null;
}

// Takes over what is new in the sandbox's list. Its messages have no id, and the oldest are forgotten.
async function read() {
  const { messages } = await call("GET", "sandbox/messages");
  const seen = new Map();
  for (const message of messages.reverse()) {
    const key = JSON.stringify(message);
    const times = (seen.get(key) ?? 0) + 1;
    seen.set(key, times);
    if (times <= (listed.get(key) ?? 0)) continue;
    const pictures = message.media_urls.length;
    const note = pictures ? `${pictures} picture${pictures === 1 ? "" : "s"}` : "";
    add({ isOwn: false, phone: message.to, peer: message.from, body: message.body, note, at: message.sent_at });
  }
  listed = seen;
}

function add(event) {
  event.id = nextId;
  nextId += 1;
  events.push(event);
  if (events.length > KEPT) events.shift();
  return event;
}

export function paint() {
  for (const phone of phones) phone.paint();
  const isLive = session !== null;
  if (find("pair-tn").dataset.value !== (session?.virtual_tn ?? "")) {
    find("pair-tn").dataset.value = session?.virtual_tn ?? "";
    find("pair-tn").replaceChildren(isLive ? number(session.virtual_tn) : "none");
  }
  hadSession ||= isLive;
  const without = hadSession ? "The session is over. A text now is too late." : "The phones are not connected.";
  setText(find("pair-state"), isLive ? "Connected. Both phones text this number." : without);
  setText(find("pair-left"), isLive ? `Expires: ${remaining(session.expiry_date)}` : "");
  find("pair-open").hidden = isLive;
  find("pair-live").hidden = !isLive;
}

// Opens a session between the phones, and adds a number to the pool if none has room.
async function connect() {
  const expiry = find("pair-expiry").value;
  const [a, b] = phones.map((phone) => phone.own);
  const body = { participant_a: a, participant_b: b, expiry_window: expiry ? Number(expiry) : null };
  const isFull = (error) => ["no_tn_available", "participant_opted_out"].includes(error.reason);
  let added = numbers().length === 0 ? await addTn() : null;
  try {
    await openSession(body);
  } catch (error) {
    if (added || !isFull(error)) throw error;
    added = await addTn();
    await openSession(body);
  }
  if (added) announce(`${masked(added)} was added to the pool, and the phones are connected.`);
  await refresh(true);
  // The button is gone; the next thing is to text.
  phones[0].focus();
  changed();
}

async function addTn() {
  for (let tried = 0; ; tried += 1) {
    const value = String(FIRST_TN + tried);
    try {
      await call("POST", "tn", { value });
      return value;
    } catch (error) {
      const isTaken = error.reason === "duplicate_tn" || error.reason === "tn_is_participant";
      if (!isTaken || tried === TNS_TRIED) throw error;
    }
  }
}

async function send(phone, to, body) {
  const event = add({ isOwn: true, phone: phone.own, peer: to, body, note: "posting …", at: new Date().toISOString().slice(0, 19) });
  paint();
  try {
    await postText({ to, from: phone.own, body, id: `console-${randomId()}` }, find("token").value.trim());
    event.note = "taken by the service";
  } catch (error) {
    event.note = `not taken: ${error.message}`;
    if (error.status === 401) {
      find("token-field").hidden = false;
      find("token").focus();
    }
  }
  paint();
  changed();
}

function makeBubble(event, before) {
  const note = make("span");
  const row = make("div", { class: event.isOwn ? "message own" : "message" });
  if (before?.peer !== event.peer) row.append(make("p", { class: "peer" }, event.isOwn ? "to " : "from ", number(event.peer)));
  row.append(make("p", { class: "bubble" }, event.body), make("p", { class: "note" }, time(event.at), note));
  row.update = () => {
    setText(note, event.note && ` · ${event.note}`);
    row.classList.toggle("refused", event.note.startsWith("not taken"));
  };
  return row;
}

function makePhone(place, name, own) {
  place.append(find("phone-template").content.cloneNode(true));
  const part = (selector) => place.querySelector(selector);
  const [change, renumber, thread, compose] = [".change", ".renumber", ".thread", ".compose"].map(part);
  const [to, text, value] = [".compose select", ".compose input", ".renumber input"].map(part);
  part("h3").textContent = name;
  thread.setAttribute("aria-label", `Messages on ${name}`);
  to.setAttribute("aria-label", `${name} texts to`);
  change.setAttribute("aria-label", `Change the number of ${name}`);
  value.setAttribute("aria-label", `${name}’s number`);
  text.setAttribute("aria-label", `Text from ${name}`);
  part(".compose .primary").setAttribute("aria-label", `Send from ${name}`);
  const phone = { own, paint: paintPhone, focus: () => text.focus({ preventScroll: true }) };
  let answered = null;

  function paintPhone() {
    const mine = events.filter((event) => event.phone === phone.own);
    const isAtEnd = thread.scrollHeight - thread.scrollTop - thread.clientHeight < 40;
    const had = thread.childElementCount;
    const rows = mine.map((event, at) => ({ event, before: mine[at - 1] }));
    reconcile(thread, rows, (row) => row.event.id, (row) => makeBubble(row.event, row.before), (row) => row.update());
    if (isAtEnd && thread.childElementCount !== had) thread.scrollTop = thread.scrollHeight;
    const chosen = to.value;
    const offered = [...new Set([...(session ? [session.virtual_tn] : []), ...mine.map((event) => event.peer), ...numbers()])];
    reconcile(to, offered, (tn) => tn, (tn) => make("option", { value: tn }, masked(tn)));
    // A phone answers whoever has texted it last.
    const last = mine.findLast((event) => !event.isOwn);
    if (last && last.id !== answered) to.value = last.peer;
    else if (offered.includes(chosen)) to.value = chosen;
    answered = last?.id ?? null;
  }

  function use(newOwn) {
    phone.own = newOwn;
    answered = null;
    thread.replaceChildren();
    part(".own").replaceChildren(number(newOwn));
    session = null;
    hadSession = false;
    setText(find("pair-problem"), "");
    paint();
  }

  function toggle(isOpen) {
    renumber.hidden = !isOpen;
    change.setAttribute("aria-expanded", String(isOpen));
  }

  change.addEventListener("click", () => {
    toggle(renumber.hidden);
    if (!renumber.hidden) value.focus();
  });
  renumber.addEventListener("submit", (event) => {
    event.preventDefault();
    if (digits(value.value) === "") return;
    toggle(false);
    use(digits(value.value));
    value.value = "";
    change.focus();
    changed();
  });
  compose.addEventListener("submit", (event) => {
    event.preventDefault();
    setText(find("pair-problem"), to.value ? "" : "The pool has no number to text. Connect the phones first.");
    if (!to.value || text.value === "") return;
    send(phone, to.value, text.value);
    text.value = "";
  });
  part(".own").append(number(own));
  return phone;
}

function build() {
  phones = [makePhone(find("phone-a"), "Phone A", PEOPLE[0]), makePhone(find("phone-b"), "Phone B", PEOPLE[1])];
  find("pair-open").addEventListener("submit", guarded(find("pair-open"), find("pair-problem"), connect));
  const patch = async () => {
    await call("PATCH", `session/${session.id}`, { expiry_window: 1 });
    changed();
  };
  find("pair-expire").addEventListener("click", guarded(find("pair-expire"), find("pair-problem"), patch));
  const end = async () => {
    await call("DELETE", `session/${session.id}`);
    await refresh(true);
    find("pair-open").querySelector("button").focus({ preventScroll: true });
    changed();
  };
  find("pair-end").addEventListener("click", guarded(find("pair-end"), find("pair-problem"), end));
  find("pair-show").addEventListener("click", guarded(find("pair-show"), find("pair-problem"), () => openDetail(session.id)));
}
