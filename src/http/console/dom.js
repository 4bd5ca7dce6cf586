// What the views share: elements, numbers that are masked until they are clicked, times, lists that keep their rows.
//
// Whatever the service sends goes into the page as text: `make` and `setText` know no other way.

export const find = (id) => document.getElementById(id);

// Makes an element. Strings among the children become text.
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Sets a text only if it differs, so that a screen reader does not read it again.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Makes the children of `parent` those of `items`. A row that stays keeps its element, and so its focus.
export function reconcile(parent, items, keyOf, makeRow, updateRow = () => {}) {
  const wanted = new Set(items.map((item) => String(keyOf(item))));
  const rows = new Map();
  for (const row of [...parent.children]) {
    if (wanted.has(row.dataset.key)) rows.set(row.dataset.key, row);
    else row.remove();
  }
  let next = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let row = rows.get(key);
    if (!row) {
      row = makeRow(item);
      row.dataset.key = key;
    }
    updateRow(row, item);
    if (row === next) next = next.nextElementSibling;
    else parent.insertBefore(row, next);
  }
}

// "12065551212" is typed in many ways. What else is typed stays, for the service to refuse: without its typing errors a
// number could be that of somebody else.
export function digits(typed) {
  const found = typed.replace(/[\s().–-]/g, "").replace(/^\+/, "");
  return /^\d{10}$/.test(found) ? `1${found}` : found;
}

export const masked = (number) => `•••• ${number.slice(-4)}`;

const whole = (number) => number.replace(/^1(\d{3})(\d{3})(\d{4})$/, "+1 $1 $2 $3");

// A phone number, masked until it is clicked.
export function number(value) {
  let isShown = false;
  const button = make("button", { type: "button", class: "number", onclick: () => paint(!isShown) });
  function paint(show) {
    isShown = show;
    button.textContent = show ? whole(value) : masked(value);
    button.setAttribute("aria-label", show ? `${whole(value)}, hide` : `number ending in ${value.slice(-4)}, show`);
  }
  paint(false);
  return button;
}

// The service writes times as UTC, without saying so.
const parsed = (date) => new Date(`${date.replace(" ", "T")}Z`);

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dayAndClock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export const now = () => clock.format(new Date());

export function time(date) {
  const at = parsed(date);
  const isToday = at.toDateString() === new Date().toDateString();
  return make("time", { datetime: at.toISOString(), title: `${date} UTC` }, (isToday ? clock : dayAndClock).format(at));
}

// How long until then, in the coarsest unit that says something.
export function remaining(date) {
  if (!date) return "never";
  const seconds = Math.round((parsed(date) - Date.now()) / 1000);
  if (seconds <= 0) return "now";
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const [unit, length] = units.find(([, length]) => seconds >= 2 * length) ?? ["s", 1];
  return `in ${Math.round(seconds / length)} ${unit}`;
}

export const count = (value) => value.toLocaleString();

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

// Fills a list of figures: [label, value, class].
export function figures(list, rows) {
  const makeRow = ([label]) => make("div", {}, make("dt", {}, label), make("dd"));
  reconcile(list, rows, ([label]) => label, makeRow, (row, [, value, look]) => {
    row.className = look ?? "";
    setText(row.lastElementChild, value);
  });
}

let fading;

// Says what has happened, also to a screen reader.
export function announce(text) {
  clearTimeout(fading);
  setText(find("status"), text);
  fading = setTimeout(() => setText(find("status"), ""), 6000);
}

// Asks before something that cannot be undone.
export function confirmed(title, text, action) {
  const dialog = find("confirm");
  find("confirm-title").textContent = title;
  find("confirm-text").textContent = text;
  find("confirm-yes").textContent = action;
  // Escape closes it without an answer.
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// Runs an action once at a time; its error is shown at `problem`.
export function guarded(control, problem, action) {
  let isRunning = false;
  return async (event) => {
    event?.preventDefault();
    if (isRunning) return;
    isRunning = true;
    control?.setAttribute("aria-busy", "true");
    setText(problem, "");
    try {
      await action(event);
    } catch (error) {
      setText(problem, error.message);
    } finally {
      isRunning = false;
      control?.removeAttribute("aria-busy");
    }
  };
}

// `guarded` for a form, which has a place for its error.
export function onSubmit(form, action) {
  form.addEventListener("submit", guarded(form, form.querySelector(".problem"), action));
}
