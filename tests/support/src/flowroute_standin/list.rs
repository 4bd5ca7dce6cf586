//! The stand-in's list of messages (`docs/flowroute.md#message-list`).

use super::{PAGE, State, Taken, json_response};
use axum::body::Body;
use chrono::DateTime;
use hyper::{
    Response,
    body::{Bytes, Frame},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io,
    pin::Pin,
    task::{Context, Poll},
};

/// How the list is answered.
#[derive(Debug, Clone, Default)]
pub enum ListMode {
    /// All of it, page by page.
    #[default]
    Whole,
    /// With 503.
    Down,
    /// The last page is cut in the middle.
    CutOff,
    /// The next page is at this address.
    LeadsTo(String),
}

pub(super) fn show(state: &mut State, host: &str, query: Option<&str>) -> Response<Body> {
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let count = |name: &str| query.get(name).map(|value| value.parse::<usize>().unwrap());
    let since = query.get("start_date").and_then(|date| DateTime::parse_from_rfc3339(date).ok());
    let Some(since) = since.map(|since| since.to_utc()) else {
        return json_response(400, &json!({"errors": [{"title": "start_date is required"}]}));
    };
    let (offset, limit) = (count("offset").unwrap_or(0), count("limit").unwrap_or(PAGE).min(PAGE));
    state.readings += usize::from(offset == 0);
    let rows: Vec<&Taken> = state.taken.iter().filter(|text| text.at >= since).collect();
    let page: Vec<Value> = rows.iter().skip(offset).take(limit).map(|text| row(text)).collect();
    let rest = |base: &str| {
        let mut next = url::Url::parse(base).unwrap();
        let (limit, offset) = (limit.to_string(), (offset + limit).to_string());
        let start = query["start_date"].as_str();
        let pairs = [("start_date", start), ("limit", &limit), ("offset", &offset)];
        next.query_pairs_mut().extend_pairs(pairs);
        String::from(next)
    };
    let next = match &state.list {
        ListMode::Down => return json_response(503, &json!({})),
        ListMode::LeadsTo(elsewhere) => Some(rest(&format!("{elsewhere}/v2.1/messages"))),
        _ => (offset + limit < rows.len()).then(|| rest(&format!("http://{host}/v2.1/messages"))),
    };
    let last = next.is_none();
    let body = json!({"data": page, "links": {"next": next}});
    if last && matches!(state.list, ListMode::CutOff) {
        let mut text = Bytes::from(body.to_string());
        text.truncate(text.len() / 2);
        return Response::new(Body::new(CutOff(Some(text))));
    }
    json_response(200, &body)
}

fn row(text: &Taken) -> Value {
    let Taken { id, from, to, body, at, .. } = text;
    let timestamp = at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let attributes =
        json!({"body": body, "direction": "outbound", "from": from, "to": to, "timestamp": timestamp});
    json!({"id": id, "type": "message", "attributes": attributes})
}

/// A body that is cut after these bytes.
struct CutOff(Option<Bytes>);

impl hyper::body::Body for CutOff {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(match self.0.take() {
            Some(bytes) => Ok(Frame::data(bytes)),
            None => Err(io::ErrorKind::ConnectionReset.into()),
        }))
    }
}
