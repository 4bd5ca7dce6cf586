//! Keys and tokens. Problems do not quote them.

use super::{
    reader::Reader,
    table::{API_KEYS, SECRETS_ARN, Setting, TRUSTED_PROXIES, WEBHOOK_ALLOWED_IPS, WEBHOOK_TOKEN},
};
use crate::{
    aws::SecretArn,
    http::{ApiKey, Auth, Hash, InvalidKey, Networks, SHORTEST_KEY, check_secret},
};
use secrecy::{ExposeSecret, SecretString};

const NOT_PRINTABLE: &str = "has spaces, control characters or letters outside ASCII";
/// The keys and tokens of the documentation.
const SAMPLES: [&str; 5] = [
    "9d1c4b7f52e84c0fa3c2",
    "6f0e7a1b9c3d4e5f8a72",
    "example-key-0123456789",
    "example-key-9876543210",
    "example-token-0123456789",
];

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
    match check_secret(&text) {
        Ok(()) => {}
        Err(InvalidKey::Short) => {
            reader.problem(WEBHOOK_TOKEN.name, format!("must have at least {SHORTEST_KEY} characters"));
        }
        Err(InvalidKey::Repeated) => {
            reader.problem(
                WEBHOOK_TOKEN.name,
                "is one repeated character; `sms-proxy new-key` makes a good one",
            );
        }
        Err(problem) => reader.problem(WEBHOOK_TOKEN.name, problem),
    }
    Some(text.into())
}

fn api_keys(reader: &mut Reader<'_>) -> (Vec<SecretString>, Vec<Hash>) {
    let keys = reader.given(&API_KEYS);
    let keys: Vec<&str> = keys.iter().flat_map(|keys| keys.split(',')).map(str::trim).collect();
    let (mut hashes, mut problems) = (Vec::new(), Vec::new());
    for key in &keys {
        match ApiKey::parse(key) {
            Ok(key) => hashes.push(key.hash),
            Err(problem) if problems.contains(&problem) => {}
            Err(problem) => problems.push(problem),
        }
    }
    for problem in problems {
        reader.problem(API_KEYS.name, problem);
    }
    (keys.into_iter().map(SecretString::from).collect(), hashes)
}

fn networks(reader: &mut Reader<'_>, setting: &Setting) -> Networks {
    let Some(list) = reader.given(setting) else { return Networks::default() };
    list.parse().unwrap_or_else(|problem| {
        reader.problem(setting.name, format!("\"{list}\" {problem}"));
        Networks::default()
    })
}

pub(super) fn auth(reader: &mut Reader<'_>) -> Auth {
    let (api_keys, hashes) = api_keys(reader);
    let webhook_token = webhook_token(reader);
    let token = webhook_token.as_ref().map(|token| Hash::of(token.expose_secret()));
    if token.is_some_and(|token| hashes.iter().any(|key| key.is(&token))) {
        let what =
            "is one of API_KEYS too; set another value: this one stands in addresses, which others log";
        reader.problem(WEBHOOK_TOKEN.name, what);
    }
    for (name, hashes) in [(API_KEYS.name, hashes), (WEBHOOK_TOKEN.name, token.into_iter().collect())] {
        if SAMPLES.iter().any(|sample| hashes.iter().any(|hash| hash.is(&Hash::of(sample)))) {
            reader.warn(
                name,
                "this is an example of the documentation, which everybody knows; set another value",
            );
        }
    }
    if let Some(Err(problem)) = reader.given(&SECRETS_ARN).map(|arn| arn.parse::<SecretArn>()) {
        reader.problem(SECRETS_ARN.name, problem);
    }
    Auth {
        api_keys,
        webhook_token,
        webhook_allowed: networks(reader, &WEBHOOK_ALLOWED_IPS),
        trusted_proxies: networks(reader, &TRUSTED_PROXIES),
        own_calls_only: false,
    }
}
