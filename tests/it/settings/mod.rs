//! The settings: defaults, precedence of sources, errors.

mod access;
mod bad;
mod base_path;
mod good;
mod insecure;
mod secret_json;
mod secrets;
mod table;

use sms_proxy::settings::{Problems, Settings};

/// Names and values of environment variables.
type Environment<'a> = [(&'a str, &'a str)];

const KEY: &str = "an-api-key-0123456789";
const TOKEN: &str = "a-webhook-token-0123456789";
const FLOWROUTE: [(&str, &str); 2] =
    [("FLOWROUTE_ACCESS_KEY", "flowroute-access"), ("FLOWROUTE_SECRET_KEY", "flowroute-secret")];
const AUTH: [(&str, &str); 2] = [("API_KEYS", KEY), ("WEBHOOK_TOKEN", TOKEN)];
const EMULATOR: (&str, &str) = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
const LAMBDA: [(&str, &str); 2] = [EMULATOR, ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")];

fn read(environment: &Environment<'_>, file: Option<&str>) -> Result<Settings, Problems> {
    read_with_secret(environment, file, None)
}

fn read_with_secret(
    environment: &Environment<'_>,
    file: Option<&str>,
    secret: Option<&str>,
) -> Result<Settings, Problems> {
    let lookup = |name: &str| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    Settings::read(&lookup, file, secret)
}

#[track_caller]
fn good(environment: &Environment<'_>) -> Settings {
    read(environment, None).unwrap_or_else(|problems| panic!("{problems}"))
}

#[track_caller]
fn good_file(file: &str) -> Settings {
    read(&[], Some(file)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The names of the settings with a problem, one per line.
#[track_caller]
fn complaints(environment: &Environment<'_>, file: Option<&str>) -> Vec<String> {
    let problems = read(environment, file).expect_err("something to complain about").to_string();
    problems.lines().map(|line| line.split_once(": ").unwrap_or((line, "")).0.to_owned()).collect()
}

/// The text of the only problem, which must be about this setting.
#[track_caller]
fn complaint(name: &str, environment: &Environment<'_>, file: Option<&str>) -> String {
    let problems = read(environment, file).expect_err("something to complain about").to_string();
    match problems.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")) {
        Some(what) if what.lines().count() == 1 => what.to_owned(),
        _ => panic!("not one complaint about {name}:\n{problems}"),
    }
}
