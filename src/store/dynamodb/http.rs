//! The SDK's HTTP client, made anew when its connections may be dead.

use crate::fresh::{self, Fresh};
use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};

/// The same client as the SDK's own, for a process that may be frozen between two calls.
#[derive(Debug)]
pub(super) struct FreshHttp(Fresh<SharedHttpClient>);

impl FreshHttp {
    pub(super) fn new() -> Self {
        Self(Fresh::new(Some(fresh::LIMIT), || {
            Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https()
        }))
    }
}

impl HttpClient for FreshHttp {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.client().http_connector(settings, components)
    }
}
