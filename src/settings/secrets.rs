//! Keys and tokens. Problems do not quote them.

use super::{
    reader::Reader,
    table::{API_KEYS, Kind, SECRETS_ARN, Setting, WEBHOOK_TOKEN},
};
use crate::{aws::SecretArn, http::Auth};
use secrecy::SecretString;

const NOT_PRINTABLE: &str = "has spaces, control characters or letters outside ASCII";
/// Other characters change their meaning in the callback URL.
const NOT_UNRESERVED: &str =
    "may have letters, digits, - . _ and ~ only; `openssl rand -hex 16` makes a good one";
/// Reserved for a later version, which limits the webhook to Flowroute's addresses.
const WEBHOOK_ALLOWED_IPS: &str = "WEBHOOK_ALLOWED_IPS";

/// Whether all characters are unreserved in URLs (RFC 3986, section 2.3).
fn is_unreserved(secret: &str) -> bool {
    secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn shortest(setting: &Setting) -> usize {
    if let Kind::Secret { shortest } = setting.kind { shortest } else { 0 }
}

/// A key of Flowroute's.
pub(super) fn flowroute_key(reader: &mut Reader<'_>, setting: &Setting) -> Option<SecretString> {
    let text = reader.given(setting)?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        reader.problem(setting.name, NOT_PRINTABLE);
    }
    Some(text.into())
}

fn webhook_token(reader: &mut Reader<'_>) -> Option<SecretString> {
    let text = reader.given(&WEBHOOK_TOKEN)?;
    if !is_unreserved(&text) {
        reader.problem(WEBHOOK_TOKEN.name, NOT_UNRESERVED);
    }
    let shortest = shortest(&WEBHOOK_TOKEN);
    if text.len() < shortest {
        reader.problem(WEBHOOK_TOKEN.name, format!("must have at least {shortest} characters"));
    }
    Some(text.into())
}

pub(super) fn auth(reader: &mut Reader<'_>) -> Auth {
    let keys = reader.given(&API_KEYS);
    let keys: Vec<&str> = keys.iter().flat_map(|keys| keys.split(',')).map(str::trim).collect();
    if !keys.iter().all(|key| is_unreserved(key)) {
        reader.problem(API_KEYS.name, NOT_UNRESERVED);
    }
    let shortest = shortest(&API_KEYS);
    if keys.iter().any(|key| key.len() < shortest) {
        let what = format!("has a key of fewer than {shortest} characters, or a comma too many");
        reader.problem(API_KEYS.name, what);
    }
    let api_keys = keys.into_iter().map(SecretString::from).collect();
    let webhook_token = webhook_token(reader);
    if reader.variable(WEBHOOK_ALLOWED_IPS).is_some_and(|value| !value.trim().is_empty()) {
        reader.problem(WEBHOOK_ALLOWED_IPS, "this version does not know it yet; remove it");
    }
    if let Some(Err(problem)) = reader.given(&SECRETS_ARN).map(|arn| arn.parse::<SecretArn>()) {
        reader.problem(SECRETS_ARN.name, problem);
    }
    Auth { api_keys, webhook_token }
}
