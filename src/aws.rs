//! How the AWS SDK reaches AWS: over the HTTP client that everything else goes over too.
//!
//! The SDK has one of its own, with HTTP/2, which nothing here needs: it would be a tenth of the function.

use crate::fresh::{self, Fresh};
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use axum::http::Response;
use http_body_util::BodyExt;
use reqwest::{Client, Request, redirect, retry};
use std::time::Duration;

/// How long connecting to AWS may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// The region, credentials and endpoints that the environment names (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, …).
pub(crate) fn environment(may_freeze: bool) -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest()).http_client(http_client(may_freeze))
}

/// The HTTP client for the SDK's clients. In a process that may be frozen between two calls it is made anew when its
/// connections may be dead.
///
/// It connects within a second, whatever connect timeout an SDK client is given.
#[must_use]
pub fn http_client(may_freeze: bool) -> SharedHttpClient {
    SharedHttpClient::new(Http(Fresh::new(may_freeze.then_some(fresh::LIMIT), || {
        Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            // What is tried again, and when, is for the SDK to say.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .build()
            .map_err(|e| e.to_string())
    })))
}

#[derive(Debug)]
struct Http(Fresh<Result<Client, String>>);

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector { client: self.0.client(), limit: settings.read_timeout() })
    }
}

/// The client for one call of the SDK, and how long the answer may take.
#[derive(Debug)]
struct Connector {
    client: Result<Client, String>,
    limit: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, limit) = (self.client.clone(), self.limit);
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
