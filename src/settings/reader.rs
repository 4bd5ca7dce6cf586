//! Reads settings from the environment, a secret and a file, and collects every problem.
//!
//! No library is used: those for settings stop at the first problem, and quote values that may be secret.

use super::{
    secret_json,
    table::{Kind, SETTINGS, Setting},
};
use std::{collections::BTreeMap, fmt, str::FromStr};
use toml::{Table, Value};

/// Every problem with the settings, one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    pub(super) fn one(name: &str, what: impl fmt::Display) -> Self {
        Self(vec![line(name, what)])
    }
}

/// A problem as one line, even if the quoted value has several.
fn line(name: &str, what: impl fmt::Display) -> String {
    format!("{name}: {what}").replace(char::is_control, " ")
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Looks settings up in the environment, then in the file, where the names are in lower case. A setting of the secret
/// must be in neither: a forgotten old key must not win over a new one.
pub(super) struct Reader<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    secret: BTreeMap<&'static str, String>,
    file: Table,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a dyn Fn(&str) -> Option<String>, file: Option<&str>) -> Self {
        let mut reader = Self {
            environment,
            secret: BTreeMap::new(),
            file: Table::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        match file.unwrap_or_default().parse() {
            Ok(table) => reader.file = table,
            // The library's message quotes the line, which may hold a secret.
            Err(_) => reader
                .problem("SETTINGS_FILE", "the file is not TOML; expected lines such as org_name = \"…\""),
        }
        reader
    }

    /// Adds the settings of the secret.
    pub(super) fn add_secret(&mut self, secret: &str) {
        let (settings, problems) = secret_json::parse(secret);
        self.problems.extend(problems.iter().map(|problem| line("SECRETS_ARN", problem)));
        for setting in secret_json::settings().filter(|setting| settings.contains_key(setting.name)) {
            if self.given(setting).is_some() {
                let what = "is set here and in the secret that SECRETS_ARN names; remove one of them";
                self.problem(setting.name, what);
            }
        }
        self.secret = settings;
    }

    pub(super) fn problem(&mut self, name: &str, what: impl fmt::Display) {
        self.problems.push(line(name, what));
    }

    pub(super) fn warn(&mut self, name: &str, what: impl fmt::Display) {
        self.warnings.push(line(name, what));
    }

    /// A variable of the environment that is no setting.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }

    /// The setting as written; an empty one counts as set.
    fn raw(&mut self, setting: &Setting) -> Option<String> {
        let value = self.written(setting)?;
        if is_quoted(value.trim()) {
            let what = "the quotes around the value are part of it; remove them, unless that is meant (docker's \
                        --env-file keeps quotes)";
            self.warn(setting.name, what);
        }
        Some(value)
    }

    fn written(&mut self, setting: &Setting) -> Option<String> {
        let name = setting.name;
        if let Some(value) = self.secret.get(name).cloned().or_else(|| self.variable(name)) {
            return Some(value);
        }
        match self.file.get(&name.to_lowercase())? {
            Value::String(text) => Some(text.clone()),
            Value::Array(items) => {
                Some(items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(","))
            }
            Value::Integer(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Boolean(yes) => Some(yes.to_string()),
            Value::Datetime(_) | Value::Table(_) => {
                self.problem(name, "is neither a string, a number, true, false nor a list of strings");
                None
            }
        }
    }

    /// The setting without its default, if it is set and not empty.
    pub(super) fn given(&mut self, setting: &Setting) -> Option<String> {
        self.raw(setting).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The setting or its default.
    pub(super) fn text(&mut self, setting: &Setting) -> Option<String> {
        self.given(setting).or_else(|| setting.default.map(str::to_owned))
    }

    /// The words of a message.
    pub(super) fn words(&mut self, setting: &Setting) -> String {
        let default = setting.default.unwrap_or_default();
        let words = self.raw(setting).unwrap_or_else(|| default.into());
        if setting.kind == Kind::Text && words.trim().is_empty() {
            self.problem(setting.name, "must not be empty; remove it to get the default");
        }
        words
    }

    /// Adds the problem that this value is not of the setting's kind.
    pub(super) fn unexpected(&mut self, setting: &Setting, value: impl fmt::Display) {
        self.problem(setting.name, format!("{value} is not {}", setting.kind.expected()));
    }

    /// The setting or its default, parsed. A value that cannot be parsed is a problem, and gives the default, so that
    /// checks of several settings together add no problem of their own.
    pub(super) fn parsed<T: FromStr>(&mut self, setting: &Setting) -> Option<T> {
        if let Some(value) = self.given(setting) {
            match value.parse() {
                Ok(parsed) => return Some(parsed),
                Err(_) => self.unexpected(setting, format!("\"{value}\"")),
            }
        }
        setting.default?.parse().ok()
    }

    pub(super) fn number(&mut self, setting: &Setting) -> u32 {
        let value = self.parsed(setting).unwrap_or_default();
        match setting.kind {
            Kind::Number { least, most } if !(least..=most).contains(&value) => {
                self.unexpected(setting, value);
                setting.default.and_then(|default| default.parse().ok()).unwrap_or_default()
            }
            _ => value,
        }
    }

    pub(super) fn switch(&mut self, setting: &Setting) -> bool {
        match self.text(setting).as_deref() {
            None | Some("false" | "False" | "FALSE" | "0") => false,
            Some("true" | "True" | "TRUE" | "1") => true,
            Some(other) => {
                self.unexpected(setting, format!("\"{other}\""));
                false
            }
        }
    }

    /// The chosen word of a [`Kind::OneOf`], without its default.
    pub(super) fn choice(&mut self, setting: &Setting) -> Option<&'static str> {
        let (value, Kind::OneOf(words)) = (self.given(setting)?, setting.kind) else { return None };
        let found = words.iter().find(|word| **word == value).copied();
        if found.is_none() {
            self.unexpected(setting, format!("\"{value}\""));
        }
        found
    }

    /// Returns the warnings, each once; or the problems, those of unknown names in the file included.
    pub(super) fn finish(mut self) -> Result<Vec<String>, Problems> {
        let known = |key: &str| SETTINGS.iter().any(|setting| setting.name.to_lowercase() == key);
        let unknown: Vec<String> = self.file.keys().filter(|key| !known(key)).cloned().collect();
        for key in unknown {
            let what = format!("there is no setting \"{key}\"; settings.example.toml has all names");
            self.problem("SETTINGS_FILE", what);
        }
        self.warnings.sort();
        self.warnings.dedup();
        if self.problems.is_empty() { Ok(self.warnings) } else { Err(Problems(self.problems)) }
    }
}

fn is_quoted(value: &str) -> bool {
    value.len() > 1 && ['"', '\''].iter().any(|quote| value.starts_with(*quote) && value.ends_with(*quote))
}
