// The outbox of the service: what is not sent.

import { call } from "./api.js";
import { count, figures, find, setText } from "./dom.js";

const HOUR = 3600;

function age(seconds) {
  if (seconds < 120) return `${count(seconds)} s`;
  if (seconds < 2 * HOUR) return `${count(Math.floor(seconds / 60))} min`;
  return `${count(Math.floor(seconds / HOUR))} h`;
}

export async function refresh() {
  const { outbox, at_least: atLeast } = await call("GET", "status");
  const shown = (name, value) => (atLeast.includes(`outbox.${name}`) ? `at least ${value}` : value);
  const number = (name) => shown(name, count(outbox[name]));
  const oldest = outbox.oldest_seconds === null ? "–" : shown("oldest_seconds", age(outbox.oldest_seconds));
  figures(find("outbox-figures"), [
    ["Waiting", number("waiting"), outbox.waiting ? "draining" : ""],
    ["Oldest waits", oldest],
    ["Unknown", number("unknown"), outbox.unknown ? "bad" : ""],
    ["Failed in the last hour", number("failed_last_hour"), outbox.failed_last_hour ? "bad" : ""],
  ]);
  const isOfProcess = outbox.failed_counted_by === "process";
  setText(find("outbox-meaning"), isOfProcess ? "Failed are those that the process that answered has counted; there may be others." : "");
}
