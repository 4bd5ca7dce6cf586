//! How the AWS SDK reaches AWS: with the same HTTP client as everything else.
//!
//! The SDK has one of its own, with HTTP/2, which nothing here needs: it would be a tenth of the function.

use crate::{
    fresh::{self, Fresh},
    http_client,
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
use http_body_util::BodyExt;
use reqwest::{Client, Request};
use std::{sync::Arc, time::Duration};

/// How long connecting to AWS may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// The region, credentials and endpoints that the environment names (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, …).
pub(crate) fn environment(may_freeze: bool) -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest()).http_client(http_client(may_freeze))
}

/// The HTTP client for the SDK's clients. In a process that may be frozen between two calls it is made anew when its
/// connections may be dead.
///
/// It gives up connecting after a second, whatever connect timeout an SDK client is given.
#[must_use]
pub fn http_client(may_freeze: bool) -> SharedHttpClient {
    let make = || {
        let client = http_client::builder(CONNECT_LIMIT).map_err(|error| error.to_string());
        let client = client.and_then(|client| client.build().map_err(|error| error.to_string()));
        client.inspect_err(|error| tracing::error!(%error, "AWS cannot be reached"))
    };
    SharedHttpClient::new(Http(Arc::new(Fresh::new(may_freeze.then_some(fresh::LIMIT), make))))
}

type Clients = Fresh<Result<Client, String>>;

#[derive(Debug)]
struct Http(Arc<Clients>);

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector { clients: Arc::clone(&self.0), limit: settings.read_timeout() })
    }
}

/// What one call of the SDK goes over, and how long the answer may take.
#[derive(Debug)]
struct Connector {
    clients: Arc<Clients>,
    limit: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.let_go_after_an_error(&request);
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
    /// After an error that may pass, the SDK wants another connection, perhaps to another machine: all of them are let
    /// go.
    fn let_go_after_an_error(&self, request: &HttpRequest) {
        let Some(wish) = request.extension::<CaptureSmithyConnection>() else { return };
        let clients = Arc::clone(&self.clients);
        wish.set_connection_retriever(move || {
            let clients = Arc::clone(&clients);
            Some(ConnectionMetadata::builder().proxied(false).poison_fn(move || clients.renew()).build())
        });
    }
}

/// What a failure is to the SDK, which tries again after a timeout and after trouble with the connection.
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
