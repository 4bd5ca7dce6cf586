// The pool: how much of it is in use, its numbers, and what can be done with them.

import { call, query } from "./api.js";
import { announce, confirmed, count, digits, figures, find, guarded, make, masked, now, number, onSubmit, plural, reconcile, setText } from "./dom.js";

const PAGE = 1000;
const ROWS = 20;
const SAMPLES = 240;

const history = [];
let since = "";
let rows = ROWS;
let pool = null;

const changed = () => document.dispatchEvent(new Event("changed"));

const state = (tn) => {
  if (tn.draining) return "draining";
  return tn.session_id || tn.sessions > 0 ? "in use" : "free";
};

const look = { free: "free", "in use": "used", draining: "draining" };

// The numbers of the pool, as far as they are known.
export const numbers = () => pool?.virtual_tns.map((tn) => tn.value) ?? [];

export async function refresh() {
  pool = await call("GET", query("tn", { limit: PAGE }));
  paint();
}

function paint() {
  const tns = pool.virtual_tns;
  const draining = tns.filter((tn) => tn.draining);
  const drainingInUse = draining.filter((tn) => tn.session_id || tn.sessions > 0).length;
  // The totals count draining numbers as free or in use, whichever they are.
  const parts = {
    free: pool.available - (draining.length - drainingInUse),
    used: pool.in_use - drainingInUse,
    draining: draining.length,
  };
  const room = pool.room ?? parts.free;
  const drainingShown = pool.next ? `${count(draining.length)} of the first ${count(PAGE)}` : count(draining.length);
  figures(find("pool-figures"), [
    ["Numbers", count(pool.pool_size)],
    ["Free", count(parts.free), "free"],
    ["In use", count(parts.used), "used"],
    ["Draining", drainingShown, "draining"],
    ["Room for sessions", count(room), room === 0 ? "bad" : ""],
  ]);
  for (const [name, value] of Object.entries(parts)) {
    const part = find("pool-bar").querySelector(`.${name}`);
    part.hidden = value === 0;
    part.style.flexGrow = value;
  }
  const summary = `${count(parts.free)} free, ${count(parts.used)} in use, ${drainingShown} draining`;
  find("pool-bar").setAttribute("aria-label", summary);
  sample(pool.in_use, pool.pool_size);
  paintRows(tns);
}

// One sample for each refresh; when there are too many, every other one goes.
function sample(used, size) {
  since ||= now();
  history.push({ at: Date.now(), used, size });
  if (history.length > SAMPLES) history.splice(0, history.length, ...history.filter((_, at) => at % 2 === 1));
  const first = history[0].at;
  const duration = Math.max(history.at(-1).at - first, 1);
  const top = Math.max(...history.map((it) => it.size), 1);
  const area = (valueOf) => {
    const x = (it) => ((it.at - first) / duration) * 600;
    const y = (it) => 78 - (valueOf(it) / top) * 74;
    // Steps, because a number is free or not.
    const points = history.map((it, at) => (at ? `${x(it)},${y(history[at - 1])} ` : "") + `${x(it)},${y(it)}`);
    const end = history.length === 1 ? ` 600,${y(history[0])}` : "";
    return `0,80 ${points.join(" ")}${end} 600,80`;
  };
  const chart = find("pool-history");
  chart.querySelector(".size").setAttribute("points", area((it) => it.size));
  chart.querySelector(".used").setAttribute("points", area((it) => it.used));
  const most = Math.max(...history.map((it) => it.used));
  const least = Math.min(...history.map((it) => it.used));
  const said = `In use since ${since}: at least ${count(least)}, at most ${count(most)} of ${count(top)}`;
  chart.setAttribute("aria-label", said);
  setText(find("pool-since"), said);
}

function paintRows(tns) {
  const shown = tns.slice(0, rows);
  reconcile(find("tns"), shown, (tn) => tn.value, makeRow, (row, tn) => row.update(tn));
  find("tns-empty").hidden = tns.length > 0;
  find("tns").closest("table").hidden = tns.length === 0;
  find("tns-more").hidden = shown.length >= tns.length;
  find("tns-rest").hidden = shown.length >= pool.pool_size;
  setText(find("tns-shown"), `${count(shown.length)} of ${plural(pool.pool_size, "number")}`);
}

function makeRow({ value }) {
  const chip = make("span");
  const sessions = make("td", { "data-label": "Sessions" });
  const problem = make("span", { class: "problem", role: "alert" });
  const drain = make("button", { type: "button" });
  const remove = make("button", { type: "button", "aria-label": `Remove the number ending in ${value.slice(-4)}` }, "Remove");
  let draining = false;
  drain.addEventListener("click", guarded(drain, problem, async () => {
    await call("PATCH", `tn/${value}`, { draining: !draining });
    announce(draining ? `${masked(value)} takes new sessions again.` : `${masked(value)} takes no new sessions; those that it has go on.`);
    changed();
  }));
  remove.addEventListener("click", guarded(remove, problem, async () => {
    const text = "Texts to it will not reach anybody. It can be added again.";
    if (!(await confirmed(`Remove ${masked(value)} from the pool?`, text, "Remove"))) return;
    await call("DELETE", `tn/${value}`);
    announce(`${masked(value)} was removed from the pool.`);
    find("pool-title").focus();
    changed();
  }));
  const row = make("tr", {},
    make("td", { "data-label": "Number" }, number(value)),
    make("td", { "data-label": "State" }, chip),
    sessions,
    make("td", { class: "actions" }, drain, remove, problem));
  row.update = (tn) => {
    draining = tn.draining === true;
    chip.className = `chip ${look[state(tn)]}`;
    setText(chip, state(tn));
    setText(sessions, count(tn.sessions ?? (tn.session_id ? 1 : 0)));
    setText(drain, draining ? "Resume" : "Drain");
    drain.setAttribute("aria-label", `${draining ? "Resume" : "Drain"} the number ending in ${value.slice(-4)}`);
  };
  return row;
}

export function start() {
  onSubmit(find("tn-add"), async () => {
    const value = digits(find("tn-value").value);
    await call("POST", "tn", { value });
    find("tn-value").value = "";
    announce(`${masked(value)} was added to the pool.`);
    changed();
  });
  find("tns-more").addEventListener("click", () => {
    rows += 100;
    paintRows(pool.virtual_tns);
  });
}
