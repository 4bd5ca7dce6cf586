//! The AWS SDK over our HTTP client. The SDK's own client has HTTP/2, which is not needed here and would be a tenth of the
//! function's size.

mod secret_arn;
pub mod secrets_manager;

pub use secret_arn::{InvalidArn, SecretArn};

use crate::{
    limits,
    net::{self, Reconnecting},
};
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_smithy_runtime_api::client::{
    connection::{CaptureSmithyConnection, ConnectionMetadata},
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use axum::http::Response;
use chrono::{DateTime, Utc};
use http_body_util::BodyExt;
use reqwest::{Client, Request};
use std::{sync::Arc, time::Duration};

/// The region, credentials and endpoints that the environment names (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, …).
pub(crate) fn environment(may_freeze: bool) -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest()).http_client(http_client(may_freeze))
}

/// The time by DynamoDB's clock, from an answer to a request without credentials.
pub(crate) async fn dynamodb_time() -> Option<DateTime<Utc>> {
    let endpoint =
        ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"].iter().find_map(|name| std::env::var(name).ok());
    let url = match endpoint.filter(|url| !url.is_empty()) {
        Some(url) => url,
        None => format!("https://dynamodb.{}.amazonaws.com", environment(false).load().await.region()?),
    };
    let client = net::builder(limits::AWS_CONNECT).ok()?.timeout(limits::DYNAMODB_CALL).build().ok()?;
    net::date_of(&client.get(url).send().await.ok()?)
}

/// The HTTP client for the SDK's clients. In a process that may be frozen between two calls, it is replaced when its
/// connections may be stale.
///
/// Its connect timeout is one second, whatever an SDK client is configured with.
#[must_use]
pub fn http_client(may_freeze: bool) -> SharedHttpClient {
    let make = || {
        let client = net::builder(limits::AWS_CONNECT).map_err(|error| error.to_string());
        let client = client.and_then(|client| client.build().map_err(|error| error.to_string()));
        client.inspect_err(|error| tracing::error!(%error, "no HTTP client for AWS"))
    };
    SharedHttpClient::new(Http(Arc::new(Reconnecting::new(may_freeze.then_some(limits::MAX_IDLE), make))))
}

type Clients = Reconnecting<Result<Client, String>>;

#[derive(Debug)]
struct Http(Arc<Clients>);

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector { clients: Arc::clone(&self.0), limit: settings.read_timeout() })
    }
}

/// Sends one call of the SDK, with the time limit of its response.
#[derive(Debug)]
struct Connector {
    clients: Arc<Clients>,
    limit: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.invalidate_after_an_error(&request);
        let (client, limit) = (self.clients.client(), self.limit);
        HttpConnectorFuture::new(async move {
            let client = client.map_err(|error| ConnectorError::user(error.into()))?;
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let mut request = Request::try_from(request.map(reqwest::Body::wrap)).map_err(failure)?;
            *request.timeout_mut() = limit;
            let (head, body) = Response::from(client.execute(request).await.map_err(failure)?).into_parts();
            let body = body.collect().await.map_err(failure)?.to_bytes();
            HttpResponse::try_from(Response::from_parts(head, body.into()))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl Connector {
    /// After a retryable error the SDK asks for a new connection, perhaps to another host: all connections are dropped.
    fn invalidate_after_an_error(&self, request: &HttpRequest) {
        let Some(capture) = request.extension::<CaptureSmithyConnection>() else { return };
        let clients = Arc::clone(&self.clients);
        capture.set_connection_retriever(move || {
            let clients = Arc::clone(&clients);
            Some(ConnectionMetadata::builder().proxied(false).poison_fn(move || clients.invalidate()).build())
        });
    }
}

/// Converts an error for the SDK, which retries timeouts and connection errors.
fn failure(error: reqwest::Error) -> ConnectorError {
    let kind = if error.is_timeout() {
        ConnectorError::timeout
    } else if error.is_builder() {
        ConnectorError::user
    } else {
        ConnectorError::io
    };
    kind(error.without_url().into())
}
