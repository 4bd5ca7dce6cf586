//! The provider and its settings.

use super::{
    Runtime,
    reader::Reader,
    secrets::flowroute_key,
    table::{
        BASE_PATH, FLOWROUTE_ACCESS_KEY, FLOWROUTE_API_URL, FLOWROUTE_API_VERSION, FLOWROUTE_SECRET_KEY,
        SMS_PROVIDER, Setting,
    },
};
use crate::provider::flowroute::{ApiVersion, ClientOptions};
use secrecy::SecretString;
use url::{Host, Url};

/// The chosen provider.
#[derive(Debug)]
pub enum ProviderChoice {
    /// The sandbox, which records messages instead of sending them.
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
    let access_key = flowroute_key(reader, &FLOWROUTE_ACCESS_KEY);
    let secret_key = flowroute_key(reader, &FLOWROUTE_SECRET_KEY);
    let version = reader.parsed(&FLOWROUTE_API_VERSION).unwrap_or(ApiVersion::V2_1);
    let url = address(reader, &FLOWROUTE_API_URL);
    let chosen = reader.choice(&SMS_PROVIDER);
    match (chosen, access_key, secret_key) {
        (Some("flowroute") | None, Some(access_key), Some(secret_key)) => match url {
            Some(url) => ProviderChoice::Flowroute(Box::new(ClientOptions {
                url,
                version,
                access_key,
                secret_key,
                public_url,
                webhook_token,
                may_freeze: runtime != Runtime::Local,
            })),
            // The problem is reported already.
            None => ProviderChoice::Sandbox,
        },
        (Some("flowroute"), ..) | (None, Some(_), None) | (None, None, Some(_)) => {
            let what = "and FLOWROUTE_SECRET_KEY must both be set to send through Flowroute";
            reader.problem(FLOWROUTE_ACCESS_KEY.name, what);
            ProviderChoice::Sandbox
        }
        _ => {
            if runtime == Runtime::Lambda {
                let what =
                    "the sandbox sends nothing and cannot be used in AWS Lambda; set the Flowroute keys";
                reader.problem(SMS_PROVIDER.name, what);
            }
            ProviderChoice::Sandbox
        }
    }
}

/// Reads an address to which a path can be appended. One that may hold a secret is refused without being quoted.
pub(super) fn address(reader: &mut Reader<'_>, setting: &Setting) -> Option<Url> {
    let text = reader.text(setting)?;
    if text.contains(['?', '#', '@']) {
        let what = "must be an https:// address without user, password, query and fragment";
        reader.problem(setting.name, what);
        return None;
    }
    let url = Url::parse(&text).ok().filter(is_private);
    if url.is_none() {
        reader.unexpected(setting, format!("\"{text}\""));
    }
    url
}

/// Reads the base path. An address that is given stands for its path.
pub(super) fn base_path(reader: &mut Reader<'_>, public_url: Option<&Url>) -> Option<String> {
    let given = reader.given(&BASE_PATH);
    // Other characters are written in more than one way in a URL.
    let is_plain =
        |text: &String| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%/:".contains(&byte));
    if given.as_ref().is_some_and(|text| !is_plain(text)) {
        reader.unexpected(&BASE_PATH, "the value");
    }
    let path = match given {
        Some(text) if text.contains("://") => Url::parse(&text).ok().map(|url| url.path().to_owned()),
        Some(text) => Some(text),
        None => public_url.map(|url| url.path().to_owned()),
    };
    let path = path.as_deref().unwrap_or_default().trim_matches('/');
    (!path.is_empty()).then(|| format!("/{path}"))
}

/// Whether this is an address of this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Whether requests to this address are encrypted or stay on this machine.
fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}
