//! The HTTP client for Flowroute and AWS.

use chrono::{DateTime, Utc};
use reqwest::{ClientBuilder, Response, header, redirect, retry};
use rustls::{ClientConfig, crypto::aws_lc_rs};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

/// Why TLS cannot be set up.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot set up TLS with the system's certificates (SSL_CERT_FILE names others): {0}")]
pub(crate) struct NoTls(String);

/// Shared by all clients: reading the system's certificates takes milliseconds, and much longer in a small function. A new
/// client also resumes the TLS sessions of the previous one.
static TLS: LazyLock<Result<ClientConfig, NoTls>> =
    LazyLock::new(|| set_up().map_err(|error| NoTls(error.to_string())));

fn set_up() -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    config.alpn_protocols = vec!["http/1.1".into()];
    Ok(config)
}

/// A builder of clients with this connect timeout. They follow no redirects and do not retry: their callers decide that.
pub(crate) fn builder(connect_limit: Duration) -> Result<ClientBuilder, NoTls> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(TLS.clone()?)
        .connect_timeout(connect_limit)
        .redirect(redirect::Policy::none())
        .retry(retry::never()))
}

/// The time by the clock of the server that has answered.
pub(crate) fn date_of(response: &Response) -> Option<DateTime<Utc>> {
    let date = response.headers().get(header::DATE)?.to_str().ok()?;
    DateTime::parse_from_rfc2822(date).ok().map(|date| date.to_utc())
}
