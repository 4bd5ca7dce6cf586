//! The secret that `SECRETS_ARN` names: the secret settings in one JSON object.

use serde_json::Value;
use std::{collections::BTreeMap, str::FromStr};

/// The settings that may be in the secret.
pub(super) const NAMES: [&str; 4] =
    ["FLOWROUTE_ACCESS_KEY", "FLOWROUTE_SECRET_KEY", "API_KEYS", "WEBHOOK_TOKEN"];

/// The name of a secret in AWS Secrets Manager, as `SECRETS_ARN` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretArn {
    arn: String,
    region: String,
}

/// A text that is not the ARN of a secret. It is not quoted: somebody may have put the secret itself there.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("is not the ARN of a secret, such as arn:aws:secretsmanager:us-east-1:123456789012:secret:sms-proxy")]
pub struct InvalidArn;

impl SecretArn {
    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// The region that the secret is in: no other one answers for it.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }
}

impl FromStr for SecretArn {
    type Err = InvalidArn;

    fn from_str(arn: &str) -> Result<Self, InvalidArn> {
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        match parts[..] {
            ["arn", partition, "secretsmanager", region, account, "secret", name]
                if [partition, region, account, name].iter().all(|part| !part.is_empty())
                    && arn.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Ok(Self { arn: arn.to_owned(), region: region.to_owned() })
            }
            _ => Err(InvalidArn),
        }
    }
}

/// The settings in a secret, and what is wrong with it. No value is in what is said.
pub(super) fn open(secret: &str) -> (BTreeMap<&'static str, String>, Vec<String>) {
    let (mut settings, mut problems) = (BTreeMap::new(), Vec::new());
    let Ok(Value::Object(fields)) = serde_json::from_str(secret) else {
        let expected = "expected is an object such as {\"API_KEYS\": \"…\", \"WEBHOOK_TOKEN\": \"…\"}";
        return (settings, vec![format!("the secret is not a JSON object; {expected}")]);
    };
    for (name, value) in fields {
        match (NAMES.into_iter().find(|known| *known == name), value) {
            (Some(name), Value::String(text)) => {
                settings.insert(name, text);
            }
            (Some(name), _) => problems.push(format!("{name} in the secret is not a string")),
            (None, _) => problems.push(format!(
                "the secret has the unknown name {}; known are {}",
                quoted(&name),
                NAMES.join(", ")
            )),
        }
    }
    (settings, problems)
}

/// A name, if it looks like that of a setting: it might be a value in the wrong place.
fn quoted(name: &str) -> String {
    let is_name = name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if is_name { format!("\"{name}\"") } else { "(not shown)".to_owned() }
}
