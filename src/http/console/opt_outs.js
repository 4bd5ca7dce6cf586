// The opt-outs of a person.

import { call, query } from "./api.js";
import { announce, confirmed, digits, find, guarded, make, masked, number, onSubmit, plural, reconcile, setText } from "./dom.js";

function row(person, tn) {
  const problem = make("span", { class: "problem", role: "alert" });
  const lift = make("button", { type: "button" }, "Lift");
  lift.addEventListener("click", guarded(lift, problem, async () => {
    const text = `${masked(person)} will be texted from ${masked(tn)} again. Do this only if the person wants it, or the STOP was forged.`;
    if (!(await confirmed("Lift this opt-out?", text, "Lift"))) return;
    await call("DELETE", "opt-out", { number: person, virtual_tn: tn });
    announce(`Opt-out of ${masked(tn)} lifted.`);
    await show(person);
    find("opt-outs-title").focus();
  }));
  return make("li", {}, "opted out of ", number(tn), " ", lift, problem);
}

async function show(person) {
  const found = await call("GET", query("opt-out", { number: person }));
  const tns = found.virtual_tns;
  setText(find("opt-out-result"), tns.length === 0
    ? `${masked(person)} has opted out of no number.`
    : `${masked(person)} has opted out of ${plural(tns.length, "number")}.`);
  reconcile(find("opt-out-rows"), tns, (tn) => `${person} ${tn}`, (tn) => row(person, tn));
}

export function start() {
  onSubmit(find("opt-out-search"), async () => {
    setText(find("opt-out-result"), "");
    find("opt-out-rows").replaceChildren();
    await show(digits(find("opt-out-number").value));
  });
}
