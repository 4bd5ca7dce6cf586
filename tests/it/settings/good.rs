//! Valid settings and their values.

use super::{AUTH, EMULATOR, FLOWROUTE, KEY, LAMBDA, TOKEN, good, good_file, read};
use chrono::TimeDelta;
use secrecy::ExposeSecret;
use sms_proxy::{
    domain::{AllowedCountries, SenderLimit},
    provider::flowroute::{ApiVersion, ClientOptions},
    settings::{ProviderChoice, Runtime, Settings, Storage, TEST_DATABASE},
    store::ReplyQuota,
};
use std::time::Duration;
use tracing::Level;

fn flowroute_of(settings: &Settings) -> &ClientOptions {
    match &settings.provider {
        ProviderChoice::Flowroute(options) => options,
        ProviderChoice::Sandbox => panic!("the sandbox"),
    }
}

#[test]
fn everything_has_its_default() {
    let settings = good(&[]);
    let wording = &settings.options.wording;
    assert_eq!(settings.runtime, Runtime::Local);
    assert_eq!(wording.org_name, "Your Org Name");
    assert_eq!(wording.session_start, "Your new session has started, send a message!");
    assert_eq!(wording.session_end, "This session has ended, talk to you again soon!");
    assert_eq!(wording.session_expired, "This session has expired.");
    assert_eq!(wording.no_session, "An active session was not found. Please contact support@yourorg.com");
    assert_eq!(settings.options.reply_quota, ReplyQuota { per_hour: 3, per_minute: 30, per_day: 1_000 });
    assert_eq!(settings.options.sender_limit, SenderLimit { per_minute: 30, per_day: 1_000 });
    assert_eq!(settings.storage, Storage::Sqlite("local-sqlite/sms-proxy.db".into()));
    assert!(matches!(settings.provider, ProviderChoice::Sandbox));
    assert_eq!(settings.options.max_per_second, 5);
    assert_eq!(settings.public_url, None);
    assert_eq!(settings.options.send_budget, Duration::from_secs(8));
    assert_eq!(settings.options.lease, Duration::from_secs(30));
    assert_eq!(settings.options.lookup_settle, Duration::from_secs(300));
    assert!(settings.auth.api_keys.is_empty() && settings.auth.webhook_token.is_none());
    assert_eq!(settings.bind.to_string(), "127.0.0.1:8000");
    assert!(!settings.debug);
    assert_eq!(settings.log_level, Level::INFO);
    assert_eq!(settings.options.retention, TimeDelta::days(30));
    assert_eq!(settings.maintenance_interval, Duration::from_secs(5));
}

#[test]
fn countries_are_separated_by_commas_in_any_case() {
    let default = good(&[]).options.allowed_countries;
    for same in ["US,CA", "us, ca", " US ,CA,", "US,CA,US"] {
        let allowed = good(&[("ALLOWED_COUNTRIES", same)]).options.allowed_countries;
        let in_file = good_file("allowed_countries = ['us', 'ca']").options.allowed_countries;
        for country in ["12065551212", "14165551212", "18765551212"] {
            let checked = |by: &AllowedCountries| by.check(country.parse().unwrap()).is_ok();
            assert_eq!(checked(&allowed), checked(&default), "{same}: {country}");
            assert_eq!(checked(&in_file), checked(&default), "{country}");
        }
    }
    assert!(
        good(&[("ALLOWED_COUNTRIES", "JM")])
            .options
            .allowed_countries
            .check("18765551212".parse().unwrap())
            .is_ok()
    );
}

#[test]
fn the_flowroute_keys_choose_flowroute_with_its_defaults() {
    let settings = good(&FLOWROUTE);
    let options = flowroute_of(&settings);
    assert_eq!(options.url.as_str(), "https://api.flowroute.com/");
    assert_eq!(options.version, ApiVersion::V2_1);
    assert_eq!(options.access_key.expose_secret(), "flowroute-access");
    assert_eq!(options.secret_key.expose_secret(), "flowroute-secret");
}

#[test]
fn the_sandbox_can_be_chosen_in_spite_of_the_keys() {
    let sandbox = ("SMS_PROVIDER", "sandbox");
    assert!(matches!(good(&[FLOWROUTE[0], FLOWROUTE[1], sandbox]).provider, ProviderChoice::Sandbox));
    assert!(matches!(good(&[FLOWROUTE[0], sandbox]).provider, ProviderChoice::Sandbox));
}

#[test]
fn every_version_of_the_api_can_be_chosen() {
    for (name, version) in [("v2", ApiVersion::V2), ("v2.1", ApiVersion::V2_1), ("v2.2", ApiVersion::V2_2)] {
        let settings = good(&[FLOWROUTE[0], FLOWROUTE[1], ("FLOWROUTE_API_VERSION", name)]);
        assert_eq!(flowroute_of(&settings).version, version);
    }
}

#[test]
fn plain_http_is_fine_on_loopback() {
    for url in ["http://127.0.0.1:9", "http://127.9.9.9/", "http://[::1]:9", "http://localhost:9/base"] {
        let settings = good(&[FLOWROUTE[0], FLOWROUTE[1], ("FLOWROUTE_API_URL", url), ("PUBLIC_URL", url)]);
        assert_eq!(flowroute_of(&settings).url, url.parse().unwrap());
        assert_eq!(settings.public_url, Some(url.parse().unwrap()));
    }
}

const FILE: &str = r#"
    org_name = "Cabs & Co"
    session_start_msg = "s"
    session_end_msg = "e"
    session_expired_msg = ""
    no_session_msg = "n"
    no_session_msg_per_hour = 0
    no_session_msg_per_minute = 1000
    media_missing_msg = "m"
    not_delivered_msg = "d"
    opt_out_words = ["QUIT", "Good bye!"]
    storage = "sqlite"
    sqlite_path = "/data/proxy.db"
    sms_provider = "flowroute"
    flowroute_access_key = "flowroute-access"
    flowroute_secret_key = "flowroute-secret"
    flowroute_api_url = "https://flowroute.example.com/base"
    flowroute_api_version = "v2.2"
    flowroute_max_per_second = 0
    public_url = "https://proxy.example.com/prod"
    base_path = "/sms"
    send_budget_seconds = 2
    lease_seconds = "7"
    lookup_settle_seconds = 8.0
    api_keys = ["an-api-key-0123456789", "another-api-key-012345"]
    webhook_token = "a-webhook-token-0123456789"
    allow_unauthenticated = false
    bind_addr = "[::]:80"
    debug_mode = false
    log_level = 30
    message_retention_days = 2
    maintenance_interval = 60
    no_session_msg_per_day = 100_000
    sender_texts_per_minute = 1000
    sender_texts_per_day = "5000"
"#;

#[test]
fn every_setting_can_be_in_the_file() {
    let settings = good_file(FILE);
    let (wording, options) = (&settings.options.wording, flowroute_of(&settings));
    assert_eq!(
        [&wording.org_name, &wording.session_start, &wording.session_end, &wording.session_expired],
        ["Cabs & Co", "s", "e", ""]
    );
    assert_eq!(format!("{:?}", wording.opt_out), r#"OptOutWords({"GOOD BYE", "QUIT", "STOP"})"#);
    assert_eq!([&wording.no_session, &wording.media_missing, &wording.not_delivered], ["n", "m", "d"]);
    assert_eq!(settings.options.reply_quota, ReplyQuota { per_hour: 0, per_minute: 1000, per_day: 100_000 });
    assert_eq!(settings.options.sender_limit, SenderLimit { per_minute: 1_000, per_day: 5_000 });
    assert_eq!(settings.storage, Storage::Sqlite("/data/proxy.db".into()));
    assert_eq!(options.url.as_str(), "https://flowroute.example.com/base");
    assert_eq!(options.version, ApiVersion::V2_2);
    assert_eq!(settings.options.max_per_second, 0);
    assert_eq!(settings.public_url.unwrap().as_str(), "https://proxy.example.com/prod");
    assert_eq!(settings.base_path.unwrap(), "/sms");
    let times = [settings.options.send_budget, settings.options.lease, settings.options.lookup_settle];
    assert_eq!(times.map(|time| time.as_secs()), [2, 7, 8]);
    let keys: Vec<_> = settings.auth.api_keys.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(keys, [KEY, "another-api-key-012345"]);
    assert_eq!(settings.auth.webhook_token.unwrap().expose_secret(), TOKEN);
    assert_eq!(settings.bind.to_string(), "[::]:80");
    assert_eq!(settings.log_level, Level::WARN);
    assert_eq!(settings.options.retention, TimeDelta::days(2));
    assert_eq!(settings.maintenance_interval, Duration::from_secs(60));
}

#[test]
fn the_environment_wins_over_the_file() {
    let environment = [("ORG_NAME", "Env"), ("SEND_BUDGET_SECONDS", "1"), ("BIND_ADDR", "127.0.0.1:1")];
    let settings = read(&environment, Some(FILE)).unwrap();
    assert_eq!(settings.options.wording.org_name, "Env");
    assert_eq!(settings.options.wording.session_start, "s");
    assert_eq!(settings.options.send_budget, Duration::from_secs(1));
    assert_eq!(settings.bind.to_string(), "127.0.0.1:1");
}

#[test]
fn a_bad_value_in_the_file_does_not_matter_when_the_environment_has_a_good_one() {
    let settings = read(&[("LEASE_SECONDS", "20")], Some("lease_seconds = 'soon'")).unwrap();
    assert_eq!(settings.options.lease, Duration::from_secs(20));
}

#[test]
fn an_empty_value_counts_as_none_but_for_the_messages_that_may_be_empty() {
    let empty = [
        "STORAGE",
        "SQLITE_PATH",
        "SMS_PROVIDER",
        "FLOWROUTE_ACCESS_KEY",
        "FLOWROUTE_SECRET_KEY",
        "FLOWROUTE_API_URL",
        "FLOWROUTE_API_VERSION",
        "FLOWROUTE_MAX_PER_SECOND",
        "PUBLIC_URL",
        "LEASE_SECONDS",
        "API_KEYS",
        "WEBHOOK_TOKEN",
        "BIND_ADDR",
        "DEBUG_MODE",
        "LOG_LEVEL",
        "SESSION_EXPIRED_MSG",
        "MEDIA_MISSING_MSG",
        "NOT_DELIVERED_MSG",
    ]
    .map(|name| (name, ""));
    let mut expected = good(&[]);
    expected.options.wording.session_expired = String::new();
    expected.options.wording.media_missing = String::new();
    expected.options.wording.not_delivered = String::new();
    assert_eq!(format!("{:?}", good(&empty)), format!("{expected:?}"));
}

#[test]
fn api_keys_are_separated_by_commas_with_or_without_spaces() {
    let settings = good(&[("API_KEYS", "first-key-0123456789, second-key-0123456789 ,third-key-0123456789")]);
    let keys: Vec<_> = settings.auth.api_keys.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(keys, ["first-key-0123456789", "second-key-0123456789", "third-key-0123456789"]);
}

#[test]
fn keys_and_tokens_of_16_characters_are_long_enough() {
    let settings = good(&[("API_KEYS", "0123456789abcdef"), ("WEBHOOK_TOKEN", "fedcba9876543210")]);
    assert_eq!((settings.auth.api_keys.len(), settings.auth.webhook_token.is_some()), (1, true));
}

#[test]
fn debug_mode_means_the_test_database_and_debug_logs() {
    for yes in ["true", "True", "TRUE", "1"] {
        let settings = good(&[("DEBUG_MODE", yes), ("SQLITE_PATH", "/data/proxy.db")]);
        assert!(settings.debug);
        assert_eq!(settings.storage, Storage::Sqlite(TEST_DATABASE.into()));
        assert_eq!(settings.log_level, Level::DEBUG);
    }
    for no in ["false", "False", "FALSE", "0"] {
        let settings = good(&[("DEBUG_MODE", no), ("SQLITE_PATH", "/data/proxy.db")]);
        assert!(!settings.debug);
        assert_eq!(settings.storage, Storage::Sqlite("/data/proxy.db".into()));
    }
}

#[test]
fn the_console_is_on_locally_and_off_in_lambda_unless_it_is_set() {
    let lambda = [&LAMBDA[..], &AUTH, &FLOWROUTE].concat();
    for (environment, default) in [(&[][..], true), (&[EMULATOR], false), (&lambda, false)] {
        let with = |value| good(&[environment, &[("CONSOLE", value)]].concat()).console;
        assert_eq!(good(environment).console, default, "{environment:?}");
        assert_eq!(
            [with(""), with("true"), with("1"), with("false"), with("0")],
            [default, true, true, false, false]
        );
    }
    assert!(!good_file("console = false").console);
}

#[test]
fn log_levels_have_names_and_numbers() {
    for (level, expected) in [
        ("trace", Level::TRACE),
        ("debug", Level::DEBUG),
        ("10", Level::DEBUG),
        ("info", Level::INFO),
        ("INFO", Level::INFO),
        ("20", Level::INFO),
        ("warn", Level::WARN),
        ("30", Level::WARN),
        ("Error", Level::ERROR),
        ("40", Level::ERROR),
        ("50", Level::ERROR),
    ] {
        assert_eq!(good(&[("LOG_LEVEL", level)]).log_level, expected, "{level}");
    }
}

#[test]
fn debug_mode_logs_no_less_than_debug() {
    for (level, expected) in [("error", Level::DEBUG), ("20", Level::DEBUG), ("trace", Level::TRACE)] {
        assert_eq!(good(&[("DEBUG_MODE", "1"), ("LOG_LEVEL", level)]).log_level, expected, "{level}");
    }
}

#[test]
fn with_keys_and_token_the_service_may_be_reached_from_anywhere() {
    let settings = good(&[AUTH[0], AUTH[1], ("BIND_ADDR", "0.0.0.0:80")]);
    assert_eq!(settings.bind.to_string(), "0.0.0.0:80");
}

#[test]
fn a_value_in_quotes_is_kept_and_warned_of() {
    let quoted =
        [("ORG_NAME", "\"Cabs & Co\""), ("NO_SESSION_MSG", "'nobody'"), ("SESSION_END_MSG", " \"bye\" ")];
    let settings = good(&quoted);
    assert_eq!(settings.options.wording.org_name, "\"Cabs & Co\"");
    let names: Vec<&str> =
        settings.warnings.iter().filter_map(|warning| Some(warning.split_once(": ")?.0)).collect();
    assert_eq!(names, ["NO_SESSION_MSG", "ORG_NAME", "SESSION_END_MSG"]);
    assert!(settings.warnings.iter().all(|warning| !warning.contains("Cabs") && !warning.contains("nobody")));

    let settings = good_file("org_name = '\"Cabs & Co\"'");
    assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);
    for fine in ["Cabs \"and\" Co", "\"Cabs\" & Co", "Cab's", "'s Hertogenbosch", "\"", "it's 5'"] {
        let settings = good(&[("ORG_NAME", fine)]);
        assert_eq!(settings.warnings, [""; 0], "{fine}");
    }
    assert_eq!(good_file("org_name = \"Cabs & Co\"").warnings, [""; 0]);
}
