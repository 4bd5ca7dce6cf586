//! The router in the Lambda runtime, behind API Gateway or a function URL.

pub use super::event::{Flaw, Payload, with_repeated_headers};

use super::event::is_maintenance;
use crate::{
    http::{Peer, RequestId, base_path, unreadable_event},
    limits,
    service::{self, Service},
    telemetry::metrics::{self, Event, count},
};
use axum::{
    Json, Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Response},
};
use lambda_http::{
    Adapter, Body as LambdaBody, Error, LambdaEvent, RequestExt, request::RequestContext, service_fn,
    tower::ServiceExt,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tracing::Instrument;

/// Serves the runtime's events until the runtime ends the process, as the function of this name.
///
/// Opens connections first, in the init phase.
///
/// # Errors
/// When the runtime cannot be reached.
pub async fn run(router: Router, service: Service, function: String) -> Result<(), Error> {
    metrics::begin_embedded(function);
    service.connect(limits::INIT_CONNECT).await;
    let handler = Adapter::from(service_fn(move |event: lambda_http::Request| {
        let (router, service) = (router.clone(), service.clone());
        async move {
            let response = if is_of_the_schedule(&event) {
                let span = tracing::info_span!("request", id = invocation(&event));
                maintain(&service).instrument(span).await
            } else {
                router.oneshot(request(event)).await.map_err(Error::from)
            };
            metrics::flush();
            response
        }
    }));
    let handler = service_fn(move |LambdaEvent { payload, context }| {
        let handler = handler.clone();
        async move {
            match payload {
                Payload::Event(event) => handler.oneshot(LambdaEvent::new(event, context)).await,
                Payload::Flawed(empty, flaw) => {
                    let id = context.request_id.clone();
                    let refusal = service_fn(move |_| std::future::ready(Ok(refuse(flaw, &id))));
                    Adapter::from(refusal).oneshot(LambdaEvent::new(empty, context)).await
                }
            }
        }
    });
    lambda_runtime::run(handler).await
}

/// Refuses an event that cannot become a request.
fn refuse(flaw: Flaw, id: &str) -> Response {
    tracing::info_span!("request", id).in_scope(|| tracing::warn!(%flaw, "event refused"));
    let mut response = unreadable_event(&flaw.to_string());
    if let Ok(id) = id.parse() {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// Runs a round of maintenance. An error fails the invocation, which Lambda counts.
async fn maintain(service: &Service) -> Result<Response, Error> {
    let round = service.maintain().await;
    service.sample().await;
    if matches!(round, Err(service::Error::Store(_))) {
        count(Event::StoreErrors);
    }
    Ok(Json(serde_json::json!({"message": round?.to_string()})).into_response())
}

/// The invocation's id, which Lambda's own log lines have too.
fn invocation(event: &lambda_http::Request) -> Option<String> {
    let id = event.lambda_context_ref().map(|context| context.request_id.clone());
    id.filter(|id| !id.is_empty())
}

/// Whether this is the event of the schedule. An HTTP request has another context.
fn is_of_the_schedule(event: &lambda_http::Request) -> bool {
    let passed_through = matches!(event.request_context_ref(), Some(RequestContext::PassThrough));
    passed_through && std::str::from_utf8(event.body()).is_ok_and(is_maintenance)
}

/// The event as a request for the router: without the stage in its path, with the invocation's id.
pub fn request(event: lambda_http::Request) -> Request {
    let path = utf8_percent_encode(&own_path(&event), NOT_IN_PATHS).to_string();
    let (id, caller) = (invocation(&event), caller(&event));
    let (mut head, body) = event.into_parts();
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(uri) = format!("{path}{query}").parse::<Uri>() {
        head.uri = uri;
    }
    if let Some(id) = id {
        head.extensions.insert(RequestId(id));
    }
    if let Some(caller) = caller {
        head.extensions.insert(caller);
    }
    let body = match body {
        LambdaBody::Text(text) => {
            describe_as_text(&mut head.headers);
            Body::from(text)
        }
        LambdaBody::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    };
    Request::from_parts(head, body)
}

/// The address of the gateway's caller.
fn caller(event: &lambda_http::Request) -> Option<Peer> {
    let address = match event.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => context.identity.source_ip.clone(),
        RequestContext::ApiGatewayV2(context) => context.http.source_ip.clone(),
        _ => None,
    };
    address?.parse().ok().map(Peer)
}

/// Makes the headers those of a text in UTF-8: whatever charset and encoding a body had, it has neither in an event that
/// has it as text.
fn describe_as_text(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_ENCODING);
    let declared = headers.get(header::CONTENT_TYPE).and_then(|declared| declared.to_str().ok());
    let media_type = declared.and_then(|declared| declared.split(';').next()?.parse().ok());
    if let Some(media_type) = media_type {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
}

/// The path without the stage.
///
/// `lambda_http` adds the stage of a REST API to the path and leaves that of an HTTP API in it, so the raw path
/// is read instead. A REST API's has no stage, and an HTTP API's has it whenever it came by the API's own host name;
/// at a custom domain either may begin with a base path, which often has the name of the stage.
fn own_path(event: &lambda_http::Request) -> String {
    let raw = match event.raw_http_path() {
        "" => "/",
        raw => raw,
    };
    let (stage, domain, in_path) = match event.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => (&context.stage, &context.domain_name, false),
        Some(RequestContext::ApiGatewayV2(context)) => (&context.stage, &context.domain_name, true),
        _ => return raw.to_owned(),
    };
    let stage = stage.as_deref().unwrap_or("$default");
    let own_host = domain.as_deref().is_some_and(|domain| domain.contains(".execute-api."));
    let path = match own_host {
        true => base_path::after(stage, raw).filter(|_| in_path),
        false => base_path::without(stage, raw),
    };
    path.unwrap_or(raw).to_owned()
}

/// Characters that a path in a URI cannot have. API Gateway decodes paths once.
const NOT_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
