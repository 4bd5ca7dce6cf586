//! The secret that `SECRETS_ARN` names: the secret settings as one JSON object.

use super::table::{Kind, SETTINGS, Setting};
use serde_json::Value;
use std::collections::BTreeMap;

/// The settings that may be in the secret.
pub(super) fn settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().copied().filter(|setting| matches!(setting.kind, Kind::Secret { .. }))
}

/// The settings in a secret, and its problems, which do not quote values.
pub(super) fn parse(secret: &str) -> (BTreeMap<&'static str, String>, Vec<String>) {
    let (mut settings, mut problems) = (BTreeMap::new(), Vec::new());
    let Ok(Value::Object(fields)) = serde_json::from_str(secret) else {
        let expected = "expected is an object such as {\"API_KEYS\": \"…\", \"WEBHOOK_TOKEN\": \"…\"}";
        return (settings, vec![format!("the secret is not a JSON object; {expected}")]);
    };
    for (name, value) in fields {
        let known = self::settings().map(|setting| setting.name).find(|known| *known == name);
        match (known, value) {
            (Some(name), Value::String(text)) => {
                settings.insert(name, text);
            }
            (Some(name), _) => problems.push(format!("{name} in the secret is not a string")),
            (None, _) => problems.push(format!(
                "the secret has the unknown name {}; known are {}",
                quoted(&name),
                self::settings().map(|setting| setting.name).collect::<Vec<_>>().join(", ")
            )),
        }
    }
    (settings, problems)
}

/// Quotes a name that looks like a setting's. Any other may be a misplaced value and is not shown.
fn quoted(name: &str) -> String {
    let is_name = name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if is_name { format!("\"{name}\"") } else { "(not shown)".to_owned() }
}
