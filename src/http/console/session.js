// One session: who is in it, when it expires, and what became of its messages. The API gives no text of them.

import { call, query } from "./api.js";
import { announce, confirmed, find, guarded, make, number, onSubmit, plural, reconcile, remaining, setText, time } from "./dom.js";

const PAGE = 1000;
const MOST_PAGES = 10;

const KINDS = { relay: "Text", start: "Start", end: "End", expired: "Expiry" };
const ROLES = { participant_a: "A", participant_b: "B", service: "service" };

let current = null;
let parts = null;
let readMinutes;

const changed = () => document.dispatchEvent(new Event("changed"));

export const openId = () => current;

// All messages of a session, or the first ten thousand.
export async function messages(id) {
  const all = [];
  let after = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const part = await call("GET", query("message", { session_id: id, limit: PAGE, after }));
    all.push(...part.messages);
    after = part.next;
    if (!after) return { messages: all, isWhole: true };
  }
  return { messages: all, isWhole: false };
}

// Shows a live session, or an ended one whose record is kept.
export async function open(id) {
  const before = current;
  current = id;
  try {
    await load();
  } catch (error) {
    if (current === id) current = before;
    throw error;
  }
  changed();
  find("detail-title").focus();
  find("detail").scrollIntoView({ block: "nearest" });
}

export function refresh() {
  return current ? load() : undefined;
}

async function live(id) {
  try {
    return await call("GET", `session/${id}`);
  } catch (error) {
    if (error.reason === "session_not_found") return null;
    throw error;
  }
}

async function load() {
  const id = current;
  let found;
  try {
    found = await Promise.all([live(id), messages(id)]);
  } catch (error) {
    // Its record has been deleted since it was opened.
    if (error.reason !== "session_not_found" || parts?.id !== id) throw error;
    close();
    return;
  }
  if (current !== id) return;
  if (parts?.id !== id) build(id);
  paint(...found);
}

function close() {
  current = null;
  parts = null;
  find("detail").hidden = true;
  find("detail").replaceChildren();
}

function build(id) {
  const state = make("p");
  const people = make("dl", { class: "facts" });
  const form = make("form", { class: "line", autocomplete: "off" },
    make("label", { for: "extend" }, "Expires in minutes"),
    make("input", { id: "extend", inputmode: "numeric", placeholder: "never" }),
    make("button", {}, "Set"),
    make("p", { class: "problem", role: "alert" }));
  const problem = make("p", { class: "problem", role: "alert" });
  const end = make("button", { type: "button", class: "danger" }, "End session");
  const timeline = make("ol", { class: "timeline" });
  const more = make("p", { class: "soft" });
  onSubmit(form, async () => {
    const window = readMinutes(form.querySelector("input").value);
    await call("PATCH", `session/${id}`, { expiry_window: window });
    form.reset();
    announce(window === null ? "The session does not expire." : `The session expires in ${window} min.`);
    changed();
  });
  end.addEventListener("click", guarded(end, problem, async () => {
    const text = "Both people are told. Texts that were not sent yet are cancelled.";
    if (!(await confirmed("End this session?", text, "End session"))) return;
    await call("DELETE", `session/${id}`);
    announce("The session has ended.");
    changed();
    find("detail-title").focus();
  }));
  const closing = make("button", { type: "button", class: "link", onclick: () => {
    close();
    find("sessions-title").focus();
    changed();
  } }, "Close");
  find("detail").replaceChildren(
    make("div", { class: "head" }, make("h3", { id: "detail-title", tabindex: "-1" }, "Session"), closing),
    make("p", { class: "soft" }, make("code", {}, id)),
    state, people, form, end, problem, make("h4", {}, "Messages"), timeline, more);
  find("detail").hidden = false;
  parts = { id, state, people, form, end, timeline, more, known: null };
}

function paint(session, { messages: all, isWhole }) {
  const isLive = session !== null;
  parts.form.hidden = parts.end.hidden = !isLive;
  setText(parts.state, isLive ? `Live. Expires: ${remaining(session.expiry_date)}` : "Ended. Its record is kept for a while.");
  // People and numbers stay as they were when the session was live.
  if (isLive && !parts.known) {
    parts.known = session;
    const fact = (name, value) => [make("dt", {}, name), make("dd", {}, value)];
    parts.people.replaceChildren(
      ...fact("A", number(session.participant_a)),
      ...fact("B", number(session.participant_b)),
      ...fact("Through", number(session.virtual_tn)),
      ...fact("Opened", time(session.date_created)));
  }
  reconcile(parts.timeline, all, (it) => it.id, makeRow, (row, it) => row.update(it));
  setText(parts.more, isWhole ? plural(all.length, "message") : `The first ${plural(all.length, "message")}.`);
}

function receipt({ delivery }) {
  if (!delivery) return "";
  const code = delivery.code ? ` (${delivery.code})` : "";
  const date = delivery.date ? `, ${delivery.date} UTC` : "";
  return `Receipt: ${delivery.status}${code}${date}`;
}

function makeRow(message) {
  const chip = make("span");
  const lines = make("div", { class: "soft" });
  const who = `${ROLES[message.from] ?? message.from} → ${ROLES[message.to] ?? message.to}`;
  const row = make("li", {},
    make("div", { class: "event" }, time(message.date_created), make("span", {}, `${KINDS[message.kind] ?? message.kind}, ${who}`), chip),
    lines);
  row.update = (it) => {
    const isFinal = it.state !== "unknown" || it.date_settled !== null;
    chip.className = `chip ${it.state}`;
    setText(chip, isFinal ? it.state : "unknown so far");
    const said = [
      it.reason,
      it.attempts > 1 || it.state !== "sent" ? plural(it.attempts, "attempt") : "",
      receipt(it),
      it.provider_id ? `Id: ${it.provider_id}` : "",
    ].filter(Boolean);
    reconcile(lines, said.map((text, at) => ({ text, at })), ({ at }) => at, () => make("div"), (line, { text }) => setText(line, text));
  };
  return row;
}

export function start(minutes) {
  readMinutes = minutes;
}
