//! Who carries the texts.

use super::{Runtime, reader::Reader, secrets::secret};
use crate::provider::flowroute::{ApiVersion, ClientOptions};
use secrecy::SecretString;
use url::{Host, Url};

/// Who carries the texts.
#[derive(Debug)]
pub enum ProviderChoice {
    /// Nobody: they are kept in memory and shown.
    Sandbox,
    /// Flowroute.
    Flowroute(Box<ClientOptions>),
}

pub(super) fn provider(
    reader: &mut Reader<'_>,
    runtime: Runtime,
    public_url: Option<Url>,
    webhook_token: Option<SecretString>,
) -> ProviderChoice {
    let access_key = secret(reader, "FLOWROUTE_ACCESS_KEY");
    let secret_key = secret(reader, "FLOWROUTE_SECRET_KEY");
    let version = reader.parsed("FLOWROUTE_API_VERSION", "v2.1, v2.2 or v2").unwrap_or(ApiVersion::V2_1);
    let url = address(reader, "FLOWROUTE_API_URL", Some("https://api.flowroute.com"));
    let chosen = reader.choice("SMS_PROVIDER", &[("flowroute", true), ("sandbox", false)]);
    match (chosen, access_key, secret_key) {
        (Some(true) | None, Some(access_key), Some(secret_key)) => match url {
            Some(url) => ProviderChoice::Flowroute(Box::new(ClientOptions {
                url,
                version,
                access_key,
                secret_key,
                public_url,
                webhook_token,
                may_freeze: runtime != Runtime::Local,
            })),
            // What is wrong with the address has been said.
            None => ProviderChoice::Sandbox,
        },
        (Some(true), ..) | (None, Some(_), None) | (None, None, Some(_)) => {
            reader.problem(
                "FLOWROUTE_ACCESS_KEY",
                "and FLOWROUTE_SECRET_KEY must both be set to send through Flowroute",
            );
            ProviderChoice::Sandbox
        }
        _ => {
            if runtime == Runtime::Lambda {
                reader.problem(
                    "SMS_PROVIDER",
                    "the sandbox sends nothing and cannot be used in AWS Lambda; set the Flowroute keys",
                );
            }
            ProviderChoice::Sandbox
        }
    }
}

/// An address that can be appended to. One that may carry a secret is refused without being shown.
pub(super) fn address(reader: &mut Reader<'_>, name: &'static str, default: Option<&str>) -> Option<Url> {
    let text = reader.text(name).or_else(|| default.map(str::to_owned))?;
    if text.contains(['?', '#', '@']) {
        reader.problem(name, "must be an https:// address without user, password, query and fragment");
        return None;
    }
    let url = Url::parse(&text).ok().filter(is_private);
    if url.is_none() {
        reader.problem(name, format!("\"{text}\" is not an https:// address"));
    }
    url
}

/// Whether nobody on the way can read what is sent there.
fn is_private(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}
