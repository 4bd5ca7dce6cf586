//! The proxy's response to one call.

use super::{Answered, Fault, Shared};
use crate::restartable_server::Answer;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::{Request, Response, StatusCode, body::Incoming};
use serde_json::{Value, json};
use std::{io, sync::Arc, time::Instant};

pub(super) async fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let _running = Arc::clone(&shared.paused).read_owned().await;
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let body = String::from_utf8(body.into()).map_err(io::Error::other)?;
    let target = head.headers["x-amz-target"].to_str().expect("ASCII");
    let operation = target.rsplit('.').next().unwrap_or(target).to_owned();
    let forwarded = async || {
        let (status, response) = shared.forward(&operation, &head.headers, &body).await?;
        Ok(json_response(status, response.into()))
    };
    let Some(fault) = shared.count(&operation, &body) else {
        let response = forwarded().await?;
        let delay = shared.state().response_delay;
        tokio::time::sleep(delay).await;
        shared.state().answered.push(Answered { request: body, at: Instant::now() });
        return Ok(response);
    };
    match fault {
        Fault::ResponseLost => {
            shared.forward(&operation, &head.headers, &body).await?;
            cut()
        }
        Fault::AppliedServerError => {
            shared.forward(&operation, &head.headers, &body).await?;
            Ok(error(500, "InternalServerError", json!({})))
        }
        Fault::AppliedNoResponse => {
            shared.forward(&operation, &head.headers, &body).await?;
            std::future::pending().await
        }
        Fault::AppliedLate | Fault::AppliedMuchLater => {
            shared.state().late += 1;
            tokio::spawn(async move {
                tokio::time::sleep(fault.delay()).await;
                shared.forward(&operation, &head.headers, &body).await.expect("the engine answers");
                shared.state().late -= 1;
            });
            std::future::pending().await
        }
        Fault::Slow => {
            tokio::time::sleep(fault.delay()).await;
            forwarded().await
        }
        Fault::Held => {
            shared.release.notified().await;
            forwarded().await
        }
        Fault::ConnectionCut => cut(),
        Fault::NoResponse => std::future::pending().await,
        Fault::ServerError => Ok(error(500, "InternalServerError", json!({}))),
        Fault::Throttled(code) => Ok(error(400, code, json!({}))),
        Fault::PartThrottled => Ok(part_throttled(&operation, &body)),
        Fault::Conflict if operation == "TransactWriteItems" => Ok(cancelled(&body, "TransactionConflict")),
        Fault::Conflict => Ok(error(400, "TransactionConflictException", json!({}))),
    }
}

/// Cuts the connection.
fn cut() -> Answer {
    Err(io::ErrorKind::ConnectionAborted.into())
}

fn part_throttled(operation: &str, body: &str) -> Response<Body> {
    match operation {
        "TransactWriteItems" => cancelled(body, "ThrottlingError"),
        "BatchGetItem" => {
            let request: Value = serde_json::from_str(body).expect("JSON");
            let unprocessed = json!({"Responses": {}, "UnprocessedKeys": request["RequestItems"]});
            json_response(StatusCode::OK, unprocessed.to_string().into())
        }
        _ => error(400, "ThrottlingException", json!({})),
    }
}

/// A transaction that is cancelled because of its first part.
fn cancelled(body: &str, code: &str) -> Response<Body> {
    let request: Value = serde_json::from_str(body).expect("JSON");
    let parts = request["TransactItems"].as_array().expect("parts").len();
    let mut reasons = vec![json!({"Code": "None"}); parts];
    reasons[0] = json!({"Code": code, "Message": "as scripted"});
    error(400, "TransactionCanceledException", json!({"CancellationReasons": reasons}))
}

fn error(status: u16, code: &str, mut body: Value) -> Response<Body> {
    body["__type"] = json!(format!("com.amazonaws.dynamodb.v20120810#{code}"));
    body["message"] = json!("as scripted");
    json_response(StatusCode::from_u16(status).expect("a status"), body.to_string().into())
}

fn json_response(status: StatusCode, body: Body) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    response.body(body).expect("a response")
}
