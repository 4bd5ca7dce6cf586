//! Keys and tokens: what a good one looks like. None of them is ever quoted.

use super::{bundle::SecretArn, reader::Reader};
use crate::http::Auth;
use secrecy::{ExposeSecret, SecretString};

/// Keys and tokens shorter than this can be guessed.
const SHORTEST_SECRET: usize = 16;
const NOT_PRINTABLE: &str = "has spaces, control characters or letters outside ASCII";

fn is_printable(secret: &str) -> bool {
    secret.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) fn secret(reader: &mut Reader<'_>, name: &'static str) -> Option<SecretString> {
    let text = reader.text(name)?;
    if !is_printable(&text) {
        reader.problem(name, NOT_PRINTABLE);
    }
    Some(text.into())
}

pub(super) fn auth(reader: &mut Reader<'_>) -> Auth {
    let keys = reader.text("API_KEYS");
    let keys: Vec<&str> = keys.iter().flat_map(|keys| keys.split(',')).map(str::trim).collect();
    if !keys.iter().all(|key| is_printable(key)) {
        reader.problem("API_KEYS", NOT_PRINTABLE);
    }
    if keys.iter().any(|key| key.len() < SHORTEST_SECRET) {
        reader.problem(
            "API_KEYS",
            format!("has a key of fewer than {SHORTEST_SECRET} characters, or a comma too many"),
        );
    }
    let api_keys = keys.into_iter().map(SecretString::from).collect();
    let webhook_token = secret(reader, "WEBHOOK_TOKEN");
    if webhook_token.as_ref().is_some_and(|token| token.expose_secret().len() < SHORTEST_SECRET) {
        reader.problem("WEBHOOK_TOKEN", format!("must have at least {SHORTEST_SECRET} characters"));
    }
    if reader.text("WEBHOOK_ALLOWED_IPS").is_some() {
        reader.problem("WEBHOOK_ALLOWED_IPS", "this version does not know it yet; remove it");
    }
    if let Some(Err(problem)) = reader.text("SECRETS_ARN").map(|arn| arn.parse::<SecretArn>()) {
        reader.problem("SECRETS_ARN", problem);
    }
    Auth { api_keys, webhook_token }
}
