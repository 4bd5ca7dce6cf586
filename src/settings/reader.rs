//! Reads named settings from the environment, a secret and a file, and gathers everything that is wrong with them.

use super::bundle;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::RangeInclusive,
    str::FromStr,
};
use toml::{Table, Value};

/// Everything that is wrong with the settings, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// The only one.
    pub(super) fn one(name: &str, what: impl fmt::Display) -> Self {
        Self(vec![line(name, what)])
    }
}

/// One line, whatever the value that is quoted.
fn line(name: &str, what: impl fmt::Display) -> String {
    format!("{name}: {what}").replace(char::is_control, " ")
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Looks settings up in the environment, and in the file, where they have the same names in lower case; the environment
/// wins. What is in the secret must be nowhere else: a forgotten key must not win over a new one.
pub(super) struct Reader<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    secret: BTreeMap<&'static str, String>,
    file: Table,
    asked: BTreeSet<&'static str>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a dyn Fn(&str) -> Option<String>, file: Option<&str>) -> Self {
        let mut reader = Self {
            environment,
            secret: BTreeMap::new(),
            file: Table::new(),
            asked: BTreeSet::new(),
            problems: Vec::new(),
        };
        match file.unwrap_or_default().parse() {
            Ok(table) => reader.file = table,
            // The library's message quotes the line, which may hold a secret.
            Err(_) => reader
                .problem("SETTINGS_FILE", "the file is not TOML; expected lines such as org_name = \"…\""),
        }
        reader
    }

    /// Takes what is in the secret too.
    pub(super) fn open(&mut self, secret: &str) {
        let (settings, problems) = bundle::open(secret);
        for problem in problems {
            self.problem("SECRETS_ARN", problem);
        }
        for name in settings.keys() {
            if self.text(name).is_some() {
                self.problem(
                    name,
                    "is set here and in the secret that SECRETS_ARN names; remove one of them",
                );
            }
        }
        self.secret = settings;
    }

    /// Notes what is wrong with a setting.
    pub(super) fn problem(&mut self, name: &str, what: impl fmt::Display) {
        self.problems.push(line(name, what));
    }

    /// The setting as written; an empty one counts as set.
    pub(super) fn raw(&mut self, name: &'static str) -> Option<String> {
        self.asked.insert(name);
        if let Some(value) = self.secret.get(name).cloned().or_else(|| (self.environment)(name)) {
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

    /// The setting, if it is there and not empty.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.raw(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The setting read as a `T`; what is wrong with it is noted, and the default taken.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &'static str, expected: &str) -> Option<T> {
        let value = self.text(name)?;
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.problem(name, format!("\"{value}\" is not {expected}"));
        }
        parsed
    }

    pub(super) fn number(&mut self, name: &'static str, range: RangeInclusive<u32>, default: u32) -> u32 {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        match self.parsed::<u32>(name, &expected) {
            None => default,
            Some(value) if range.contains(&value) => value,
            Some(value) => {
                self.problem(name, format!("{value} is not {expected}"));
                default
            }
        }
    }

    pub(super) fn switch(&mut self, name: &'static str) -> bool {
        match self.text(name).as_deref() {
            None | Some("false" | "False" | "FALSE" | "0") => false,
            Some("true" | "True" | "TRUE" | "1") => true,
            Some(other) => {
                self.problem(name, format!("\"{other}\" is not true or false"));
                false
            }
        }
    }

    /// One of a few words, given with what they mean.
    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.text(name)?;
        let found = choices.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let words = choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
            self.problem(name, format!("\"{value}\" is not {words}"));
        }
        found
    }

    /// Ends the reading: an unknown name in the file is a problem too.
    pub(super) fn finish(mut self) -> Result<(), Problems> {
        let unknown: Vec<String> = self
            .file
            .keys()
            .filter(|key| !self.asked.iter().any(|name| name.to_lowercase() == **key))
            .cloned()
            .collect();
        for key in unknown {
            self.problem(
                "SETTINGS_FILE",
                format!("there is no setting \"{key}\"; see the README for their names"),
            );
        }
        if self.problems.is_empty() { Ok(()) } else { Err(Problems(self.problems)) }
    }
}
