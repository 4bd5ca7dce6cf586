// Calls of the service's API. Addresses are relative to the page, so that they work below a base path.

const STORED_KEY = "sms-proxy-key";
const LIMIT_MS = 40_000;

let key = "";
let onRefused = () => {};

// An error of the API, or one that kept the call from it.
export class ApiError extends Error {
  constructor(status, reason, message) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

// A browser may keep pages from its storage.
function storage(action) {
  try {
    return action(sessionStorage);
  } catch {
    return null;
  }
}

// Takes the key that was kept in this tab. Returns whether there was one.
export function restoreKey() {
  key = storage((kept) => kept.getItem(STORED_KEY)) ?? "";
  return key !== "";
}

export function setKey(typed, keep) {
  key = typed;
  storage((kept) => (keep ? kept.setItem(STORED_KEY, typed) : kept.removeItem(STORED_KEY)));
}

export const hasKey = () => key !== "";

// Calls `action` when the service refuses the key.
export function whenRefused(action) {
  onRefused = action;
}

// Random, also on a page without TLS, where `randomUUID` is missing.
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The credentials of the page's own address must not be in that of a call.
function address(path) {
  const url = new URL(path, document.baseURI);
  url.username = "";
  url.password = "";
  return url;
}

async function request(method, path, headers, body) {
  if (body !== undefined) headers["content-type"] = "application/json";
  const init = {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    // Without credentials the browser asks for no password of its own.
    credentials: "omit",
    cache: "no-store",
    signal: AbortSignal.timeout(LIMIT_MS),
  };
  let response;
  let text;
  try {
    response = await fetch(address(path), init);
    text = await response.text();
  } catch (error) {
    const isLate = error.name === "TimeoutError";
    throw new ApiError(0, "unreachable", isLate ? "The service did not answer in time." : "The service cannot be reached.");
  }
  let answer = null;
  try {
    answer = text === "" ? null : JSON.parse(text);
  } catch {
    // Something in between has answered, with a page of its own.
  }
  if (response.ok) return answer;
  throw new ApiError(response.status, answer?.reason, answer?.message ?? `The answer was ${response.status}.`);
}

// A management call.
export async function call(method, path, body, headers = {}) {
  const withKey = { ...headers };
  // A header has no other characters, and a key neither.
  if (/^[\x21-\x7e]+$/.test(key)) withKey["x-api-key"] = key;
  try {
    return await request(method, path, withKey, body);
  } catch (error) {
    if (error.status === 401) onRefused(error);
    throw error;
  }
}

// Posts a text as Flowroute would. The token is sent as a password, so that it is in no address.
export async function postText(text, token) {
  const headers = /^[\x21-\x7e]+$/.test(token) ? { authorization: `Basic ${btoa(`flowroute:${token}`)}` } : {};
  await request("POST", "./", headers, text);
}

export const query = (path, values) => {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return `${path}?${new URLSearchParams(given)}`;
};
