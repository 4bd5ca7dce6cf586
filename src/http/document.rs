//! Serves the OpenAPI document.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

/// The document, which is made when it is first asked for.
pub(super) type Document = fn() -> &'static str;

pub(super) async fn show(State(document): State<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document()).into_response()
}
