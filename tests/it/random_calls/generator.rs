//! Makes random calls: good ones, of which some parts are replaced by others or damaged.

use rand::{prelude::*, rngs::StdRng};
use serde_json::{Value, json};
use test_support::number;

/// The kinds of calls.
pub(super) const KINDS: [&str; 8] =
    ["text", "media", "receipt", "add a TN", "open a session", "end", "read", "change"];

/// Numbers that some calls have and others change a little. The last ones may not be texted.
const PEOPLE: u32 = 12;
pub(crate) const ODD_NUMBERS: [&str; 5] =
    ["18765551212", "19005551212", "19115551212", "10000000000", "447700900123"];
/// What replaces a value, or is put into a text.
pub(crate) const ODD_TEXTS: [&str; 26] = [
    "",
    " ",
    "\0",
    "null",
    "NaN",
    "-1",
    "1e999",
    "99999999999999999999999",
    "STOP",
    "unstop",
    "START",
    "\u{feff}",
    "\u{202e}",
    "\u{0}\u{1b}[31m",
    "😀",
    "ü",
    "\\ud83d",
    "\"",
    "{",
    "]",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "../../etc/passwd",
    "file:///etc/passwd",
    "https://media.example/a.jpg",
    "http://169.254.169.254/",
    "%00%ff%2f",
];

/// A call, before it becomes a request or an event.
#[derive(Debug)]
pub(super) struct Generated {
    pub(super) kind: &'static str,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// It comes as an event of this gateway.
    pub(super) gateway: Option<usize>,
}

pub(super) struct Generator {
    rng: StdRng,
    key: &'static str,
    token: &'static str,
    /// Ids of sessions and messages, and cursors, that answers had.
    ids: Vec<String>,
    posted: u32,
}

impl Generator {
    pub(super) fn new(seed: u64, key: &'static str, token: &'static str) -> Self {
        let ids = vec!["0".repeat(32), "mdr2-1".into()];
        Self { rng: StdRng::seed_from_u64(seed), key, token, ids, posted: 0 }
    }

    /// Remembers the ids of an answer, for later calls.
    pub(super) fn learn(&mut self, answer: &str) {
        let ids = answer.split('"').filter(|word| word.len() > 14 && !word.contains([' ', '{', ':']));
        self.ids.extend(ids.take(3).map(str::to_owned));
        if self.ids.len() > 40 {
            self.ids.drain(..20);
        }
    }

    pub(super) fn call(&mut self) -> Generated {
        let kind = *KINDS.choose(&mut self.rng).expect("there are some");
        let (method, path, query, body) = self.good(kind);
        let mut call = Generated {
            kind,
            method: method.into(),
            path,
            query,
            headers: vec![("content-type", "application/json".into()), ("x-api-key", self.key.into())],
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
            gateway: self.rng.random_bool(0.4).then(|| self.rng.random_range(0..16)),
        };
        if self.rng.random_bool(0.6) {
            self.damage(&mut call);
        }
        call
    }

    /// A call that is accepted if the store allows it.
    fn good(&mut self, kind: &str) -> (&'static str, String, String, Option<Value>) {
        let token = format!("token={}", self.token);
        let none = String::new;
        match kind {
            "text" => ("POST", "/".into(), token, Some(self.text())),
            "media" => ("POST", "/".into(), token, Some(self.media())),
            "receipt" => {
                let receipt = self.receipt();
                ("POST", "/".into(), format!("{token}&m={}", self.id()), Some(receipt))
            }
            "add a TN" => ("POST", "/tn".into(), none(), Some(json!({"value": self.tn()}))),
            "open a session" => {
                let mut body = json!({"participant_a": self.person(), "participant_b": self.person()});
                for (name, value) in [("expiry_window", json!(60)), ("virtual_tn", json!(self.tn()))] {
                    if self.rng.random_bool(0.3) {
                        body[name] = value;
                    }
                }
                ("POST", "/session".into(), none(), Some(body))
            }
            "end" => match self.rng.random_range(0..4) {
                0 => ("DELETE", format!("/session/{}", self.id()), none(), None),
                1 => ("DELETE", "/session".into(), none(), Some(json!({"session_id": self.id()}))),
                2 => ("DELETE", format!("/tn/{}", self.tn()), none(), None),
                _ => ("DELETE", "/tn".into(), none(), Some(json!({"value": self.tn()}))),
            },
            "change" => match self.rng.random_bool(0.5) {
                true => {
                    let body = json!({"draining": self.rng.random_bool(0.3)});
                    ("PATCH", format!("/tn/{}", self.tn()), none(), Some(body))
                }
                false => {
                    ("PATCH", format!("/session/{}", self.id()), none(), Some(json!({"expiry_window": 5})))
                }
            },
            _ => {
                let queries = [
                    none(),
                    "limit=3".into(),
                    format!("limit=2&after={}", self.id()),
                    format!("participant={}", self.person()),
                    format!("session_id={}", self.id()),
                ];
                let paths = ["/tn", "/session", "/message", "/health", "/tn/x", "/session/x", "/nowhere"];
                let path = paths.choose(&mut self.rng).expect("there are some").replace('x', &self.id());
                ("GET", path, queries.choose(&mut self.rng).expect("there are some").clone(), None)
            }
        }
    }

    fn text(&mut self) -> Value {
        let (from, to, body) = (self.person(), self.tn(), self.word());
        if self.rng.random_bool(0.5) {
            return json!({"id": self.inbound_id(), "from": from, "to": to, "body": body});
        }
        let attributes =
            json!({"from": from, "to": to, "body": body, "timestamp": "2026-01-19T01:21:21.98Z"});
        json!({"data": {"id": self.inbound_id(), "type": "message", "attributes": attributes}})
    }

    fn media(&mut self) -> Value {
        let mut post = self.text();
        let part = |url: String| json!({"type": "media", "id": "1", "attributes": {"url": url}});
        post["included"] = json!([part(self.word()), part("https://media.example/a.jpg".into())]);
        post["media_urls"] = json!([self.word()]);
        post
    }

    fn receipt(&mut self) -> Value {
        json!({"data": {"type": "delivery_receipt", "id": self.id(), "attributes": {
            "level": self.rng.random_range(0..4), "status": self.word(), "status_code": 1_000 + self.rng.random_range(0..230),
            "timestamp": "2026-01-19T01:21:21.98Z"}}})
    }

    fn inbound_id(&mut self) -> String {
        // Now and then one that was posted before.
        self.posted += u32::from(self.rng.random_bool(0.8));
        format!("mdr2-{:032x}", self.posted)
    }

    fn person(&mut self) -> String {
        match self.rng.random_bool(0.05) {
            true => (*ODD_NUMBERS.choose(&mut self.rng).expect("there are some")).into(),
            false => number(self.rng.random_range(0..PEOPLE)),
        }
    }

    fn tn(&mut self) -> String {
        // Some of them are people's numbers, too.
        number(self.rng.random_range(PEOPLE - 1..PEOPLE + 8))
    }

    fn id(&mut self) -> String {
        self.ids.choose(&mut self.rng).expect("there are some").clone()
    }

    fn word(&mut self) -> String {
        (*ODD_TEXTS.choose(&mut self.rng).expect("there are some")).into()
    }

    fn damage(&mut self, call: &mut Generated) {
        match self.rng.random_range(0..12) {
            0 => {
                call.method = ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "X"]
                    .choose(&mut self.rng)
                    .map_or_else(String::new, |method| (*method).into())
            }
            1 => {
                call.path = format!(
                    "{}{}",
                    call.path,
                    ["/", "//", "/x", "%2F", "%00", ";", "..", "%ff"].choose(&mut self.rng).unwrap_or(&"")
                )
            }
            2 => {
                call.query = format!(
                    "{}&{}={}",
                    call.query,
                    self.id(),
                    url::form_urlencoded::byte_serialize(self.word().as_bytes()).collect::<String>()
                )
            }
            3 => call.headers[1].1 = self.key[..self.rng.random_range(0..self.key.len())].to_owned(),
            4 => call.query = String::new(),
            5 => {
                let kinds = [
                    "text/plain",
                    "application/vnd.api+json; charset=utf-16",
                    "application/json; charset=x",
                    ";",
                    "",
                ];
                call.headers[0].1 =
                    kinds.choose(&mut self.rng).map_or_else(String::new, |kind| (*kind).into());
            }
            6 => {
                let more = [
                    ("content-encoding", "gzip"),
                    ("content-encoding", "deflate, gzip"),
                    ("idempotency-key", "k"),
                    ("idempotency-key", ""),
                    ("content-length", "5"),
                ];
                call.headers
                    .extend(more.choose(&mut self.rng).map(|(name, value)| (*name, (*value).to_owned())));
            }
            7..10 => self.replace_value(&mut call.body),
            _ => self.damage_bytes(&mut call.body),
        }
    }

    /// Replaces a value of the body, or adds one.
    fn replace_value(&mut self, body: &mut Vec<u8>) {
        let Ok(mut json) = serde_json::from_slice::<Value>(body) else { return self.damage_bytes(body) };
        let mut pointers = Vec::new();
        collect_pointers(&json, String::new(), &mut pointers);
        let pointer = pointers.choose(&mut self.rng).expect("the whole is one of them");
        *json.pointer_mut(pointer).expect("it is there") = self.odd_value(3);
        *body = json.to_string().into_bytes();
    }

    fn odd_value(&mut self, depth: u8) -> Value {
        match self.rng.random_range(0..if depth == 0 { 7 } else { 9 }) {
            0 => Value::Null,
            1 => self.rng.random_bool(0.5).into(),
            2 => self.rng.random::<i64>().into(),
            3 => self.rng.random::<f64>().into(),
            4 => self.person().parse::<u64>().map_or(Value::Null, Value::from),
            5 => self.word().repeat(self.rng.random_range(1..4)).into(),
            6 => self.id().into(),
            7 => (0..self.rng.random_range(0..4)).map(|_| self.odd_value(depth - 1)).collect(),
            _ => {
                let fields =
                    (0..self.rng.random_range(0..4)).map(|_| (self.word(), self.odd_value(depth - 1)));
                Value::Object(fields.collect())
            }
        }
    }

    fn damage_bytes(&mut self, body: &mut Vec<u8>) {
        for _ in 0..self.rng.random_range(1..4) {
            let at = self.rng.random_range(0..=body.len());
            match self.rng.random_range(0..5) {
                0 => body.truncate(at),
                1 => body.insert(at, self.rng.random()),
                2 => drop(body.splice(at..at, self.word().into_bytes())),
                3 if at < body.len() => body[at] ^= 1 << self.rng.random_range(0..8),
                _ => body.extend_from_within(at..),
            }
        }
    }
}

/// Finds the JSON pointers of a value and all that it holds.
pub(crate) fn collect_pointers(value: &Value, at: String, pointers: &mut Vec<String>) {
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, part)| (name.replace('~', "~0").replace('/', "~1"), part)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(n, part)| (n.to_string(), part)).collect(),
        _ => Vec::new(),
    };
    for (name, part) in parts {
        collect_pointers(part, format!("{at}/{name}"), pointers);
    }
    pointers.push(at);
}
