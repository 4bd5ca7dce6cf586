//! Invalid settings and their error texts.

use super::{FLOWROUTE, complaint, complaints, read};
use sms_proxy::settings::TEST_DATABASE;

const NUMBERS: [(&str, &str, &str); 11] = [
    ("NO_SESSION_MSG_PER_HOUR", "0", "1001"),
    ("NO_SESSION_MSG_PER_MINUTE", "0", "1001"),
    ("NO_SESSION_MSG_PER_DAY", "0", "100001"),
    ("SENDER_TEXTS_PER_MINUTE", "1", "1001"),
    ("SENDER_TEXTS_PER_DAY", "1", "5001"),
    ("FLOWROUTE_MAX_PER_SECOND", "0", "1001"),
    ("SEND_BUDGET_SECONDS", "1", "86401"),
    ("LEASE_SECONDS", "1", "86401"),
    ("LOOKUP_SETTLE_SECONDS", "1", "86401"),
    ("MESSAGE_RETENTION_DAYS", "2", "3651"),
    ("MAINTENANCE_INTERVAL", "1", "86401"),
];

#[test]
fn all_problems_are_reported_together_a_line_each_that_begins_with_the_settings_name() {
    let environment = [
        ("ORG_NAME", " "),
        ("NO_SESSION_MSG_PER_HOUR", "many"),
        ("STORAGE", "postgres"),
        ("SQLITE_PATH", TEST_DATABASE),
        ("SMS_PROVIDER", "twilio"),
        ("FLOWROUTE_API_URL", "ftp://api.flowroute.com"),
        ("FLOWROUTE_API_VERSION", "v3"),
        ("FLOWROUTE_MAX_PER_SECOND", "-1"),
        ("PUBLIC_URL", "proxy"),
        ("SEND_BUDGET_SECONDS", "0"),
        ("LEASE_SECONDS", "3000"),
        ("API_KEYS", "short"),
        ("WEBHOOK_TOKEN", "short"),
        ("WEBHOOK_ALLOWED_IPS", "10.0.0.0/33"),
        ("SECRETS_ARN", "arn:aws:secretsmanager:::"),
        ("ALLOW_UNAUTHENTICATED", "maybe"),
        ("BIND_ADDR", "here"),
        ("DEBUG_MODE", "yes"),
        ("LOG_LEVEL", "loud"),
        ("MESSAGE_RETENTION_DAYS", "1"),
    ];
    let mut expected: Vec<&str> = environment.iter().map(|(name, _)| *name).collect();
    // A value that conflicts with another setting is a problem of the other one; an unknown name is a problem of the file.
    expected.retain(|name| *name != "LEASE_SECONDS");
    expected.extend(["LOOKUP_SETTLE_SECONDS", "MAINTENANCE_INTERVAL", "SETTINGS_FILE"]);
    expected.sort_unstable();
    let mut names = complaints(&environment, Some("maintenance_interval = 0\nexpiry_windw = 1"));
    names.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn values_that_are_not_whole_numbers_are_refused() {
    for (name, ..) in NUMBERS {
        for bad in ["x", "1.5", "-1", "1e1", "0x10", "1 0", "1,000", "١", "99999999999"] {
            let what = complaint(name, &[(name, bad)], None);
            assert!(what.starts_with(&format!("\"{bad}\" is not a whole number from ")), "{name}: {what}");
        }
    }
}

#[test]
fn what_is_out_of_range_is_refused_with_the_range() {
    for (name, lowest, above) in NUMBERS {
        let highest = (above.parse::<u32>().unwrap() - 1).to_string();
        let range = format!("is not a whole number from {lowest} to {highest}");
        assert_eq!(complaint(name, &[(name, above)], None), format!("{above} {range}"));
        if let Some(below) = lowest.parse::<u32>().unwrap().checked_sub(1) {
            assert_eq!(complaint(name, &[(name, &below.to_string())], None), format!("{below} {range}"));
        }
    }
}

#[test]
fn records_are_kept_for_two_days_at_least() {
    assert_eq!(
        complaint("MESSAGE_RETENTION_DAYS", &[("MESSAGE_RETENTION_DAYS", "1")], None),
        "1 is not a whole number from 2 to 3650"
    );
}

#[test]
fn what_is_neither_true_nor_false_is_refused() {
    for name in ["DEBUG_MODE", "ALLOW_UNAUTHENTICATED"] {
        for bad in ["yes", "no", "on", "2", "tRUE", "t"] {
            assert_eq!(complaint(name, &[(name, bad)], None), format!("\"{bad}\" is not true or false"));
        }
    }
}

#[test]
fn an_address_must_be_https_or_loopback() {
    for name in ["FLOWROUTE_API_URL", "PUBLIC_URL"] {
        for bad in [
            "http://api.flowroute.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://[2001:db8::1]",
            "ftp://127.0.0.1",
            "api.flowroute.com",
            "https://",
            "/v2.1",
        ] {
            let what = complaint(name, &[(name, bad)], None);
            assert!(what.contains(&format!("\"{bad}\"")) && what.contains("https://"), "{what}");
        }
    }
}

#[test]
fn an_address_has_neither_query_nor_fragment_nor_credentials() {
    for name in ["FLOWROUTE_API_URL", "PUBLIC_URL"] {
        for ending in ["/?a=b", "/?", "/#a", "/#"] {
            complaint(name, &[(name, &format!("https://proxy.example.com{ending}"))], None);
        }
        complaint(name, &[(name, "https://user:password@proxy.example.com")], None);
    }
}

#[test]
fn a_bad_address_is_the_only_complaint_when_the_flowroute_keys_are_set() {
    for provider in ["", "flowroute"] {
        let bad = [("FLOWROUTE_API_URL", "http://api.flowroute.com"), ("SMS_PROVIDER", provider)];
        complaint("FLOWROUTE_API_URL", &[&FLOWROUTE[..], &bad].concat(), None);
    }
}

#[test]
fn an_address_to_listen_on_has_an_ip_and_a_port() {
    for bad in ["8000", ":8000", "127.0.0.1", "127.0.0.1:65536", "localhost:8000", "::1:8000x"] {
        let what = complaint("BIND_ADDR", &[("BIND_ADDR", bad)], None);
        assert!(what.contains("such as 127.0.0.1:8000"), "{what}");
    }
}

#[test]
fn one_flowroute_key_is_not_enough() {
    for key in FLOWROUTE {
        for provider in ["", "flowroute"] {
            let what = complaint("FLOWROUTE_ACCESS_KEY", &[key, ("SMS_PROVIDER", provider)], None);
            assert!(what.contains("FLOWROUTE_SECRET_KEY must both be set"), "{what}");
        }
    }
    complaint("FLOWROUTE_ACCESS_KEY", &[("SMS_PROVIDER", "flowroute")], None);
}

#[test]
fn unknown_words_are_refused_with_the_known_ones() {
    for (name, bad, known) in [
        ("STORAGE", "postgres", "sqlite or dynamodb"),
        ("STORAGE", "SQLite", "sqlite or dynamodb"),
        ("SMS_PROVIDER", "twilio", "flowroute or sandbox"),
        ("FLOWROUTE_API_VERSION", "2.1", "v2.1, v2.2 or v2"),
        ("LOG_LEVEL", "loud", "trace, debug, info, warn, error, 10, 20, 30, 40 or 50"),
        ("LOG_LEVEL", "15", "trace, debug, info, warn, error, 10, 20, 30, 40 or 50"),
        ("LOG_LEVEL", "0", "trace, debug, info, warn, error, 10, 20, 30, 40 or 50"),
    ] {
        assert_eq!(complaint(name, &[(name, bad)], None), format!("\"{bad}\" is not {known}"));
    }
}

#[test]
fn a_dynamodb_table_needs_a_name_that_aws_takes_and_has_no_debug_mode() {
    for bad in ["ab", "my table", "täble", &"a".repeat(256)] {
        complaint("DYNAMODB_TABLE", &[("STORAGE", "dynamodb"), ("DYNAMODB_TABLE", bad)], None);
    }
    complaint("DEBUG_MODE", &[("STORAGE", "dynamodb"), ("DEBUG_MODE", "true")], None);
}

#[test]
fn a_database_is_a_file() {
    for bad in [":memory:", "file:proxy.db?mode=memory"] {
        complaint("SQLITE_PATH", &[("SQLITE_PATH", bad)], None);
    }
}

#[test]
fn the_lease_outlasts_a_request() {
    for (budget, lease, fits) in
        [("8", "12", false), ("8", "13", true), ("26", "30", false), ("25", "30", true)]
    {
        let environment = [("SEND_BUDGET_SECONDS", budget), ("LEASE_SECONDS", lease)];
        if fits {
            assert!(read(&environment, None).is_ok(), "{budget}, {lease}");
        } else {
            let shortest = budget.parse::<u32>().unwrap() + 5;
            let what = complaint("LEASE_SECONDS", &environment, None);
            assert!(what.starts_with(&format!("must be at least {shortest}")), "{what}");
        }
    }
}

#[test]
fn reconciliation_waits_longer_than_the_lease() {
    for (lease, settle, fits) in
        [("30", "30", false), ("30", "31", true), ("300", "300", false), ("31", "30", false)]
    {
        let environment = [("LEASE_SECONDS", lease), ("LOOKUP_SETTLE_SECONDS", settle)];
        if fits {
            assert!(read(&environment, None).is_ok(), "{lease}, {settle}");
        } else {
            let what = complaint("LOOKUP_SETTLE_SECONDS", &environment, None);
            assert_eq!(what, format!("must be more than LEASE_SECONDS ({lease})"));
        }
    }
}

#[test]
fn the_test_database_is_not_for_production_however_its_path_is_written() {
    let absolute = std::env::current_dir().unwrap().join(TEST_DATABASE);
    for path in [
        TEST_DATABASE,
        "./local-sqlite/test.db",
        "local-sqlite//test.db",
        "local-sqlite/./test.db",
        absolute.to_str().unwrap(),
    ] {
        for debug in ["true", "false"] {
            complaint("SQLITE_PATH", &[("SQLITE_PATH", path), ("DEBUG_MODE", debug)], None);
        }
    }
}

#[test]
fn messages_are_not_empty() {
    for name in [
        "ORG_NAME",
        "SESSION_START_MSG",
        "SESSION_END_MSG",
        "NO_SESSION_MSG",
        "OPT_OUT_WORDS",
        "ALLOWED_COUNTRIES",
    ] {
        for empty in ["", "  ", "\n"] {
            let what = complaint(name, &[(name, empty)], None);
            assert!(what.starts_with("must not be empty"), "{what}");
        }
    }
}

#[test]
fn words_that_opt_out_have_letters_and_do_not_opt_in() {
    for words in ["UNSTOP", "QUIT, unstop.", "Start", "QUIT,!", "\u{200b}"] {
        let what = complaint("OPT_OUT_WORDS", &[("OPT_OUT_WORDS", words)], None);
        assert!(what.contains("UNSTOP or START, which cannot opt out"), "{what}");
    }
}

#[test]
fn countries_are_those_of_the_numbering_plan() {
    for bad in ["UK", "US,MX", "USA", "US CA", "United States", "1876", "*", ",", "US;CA", "ÜS"] {
        let what = complaint("ALLOWED_COUNTRIES", &[("ALLOWED_COUNTRIES", bad)], None);
        assert!(what.starts_with(&format!("\"{bad}\" is not a list of countries")), "{what}");
        assert!(what.contains("expected some of US, AG, AI") && what.contains("CA"), "{what}");
    }
}

#[test]
fn a_value_of_several_lines_is_complained_about_in_one() {
    complaint("BIND_ADDR", &[("BIND_ADDR", "here\r\nLEASE_SECONDS: and there")], None);
}

#[test]
fn an_unknown_name_in_the_file_is_refused() {
    for (file, name) in [
        ("org_nmae = 'x'", "org_nmae"),
        ("ORG_NAME = 'x'", "ORG_NAME"),
        ("[flowroute]\naccess_key = 'x'", "flowroute"),
        ("settings_file = 'x'", "settings_file"),
    ] {
        let what = complaint("SETTINGS_FILE", &[], Some(file));
        assert!(what.contains(&format!("there is no setting \"{name}\"")), "{what}");
    }
    let names = complaints(&[], Some("a = 1\nb = 2"));
    assert_eq!(names, ["SETTINGS_FILE"; 2]);
}

#[test]
fn a_file_that_is_no_toml_is_refused() {
    for file in ["org_name = x", "org_name", "{\"org_name\": \"x\"}", "org_name = 'x'\norg_name = 'y'"] {
        let what = complaint("SETTINGS_FILE", &[], Some(file));
        assert!(what.contains("not TOML"), "{what}");
    }
}

#[test]
fn tables_and_dates_are_no_settings() {
    for bad in ["{ a = 1 }", "1979-05-27"] {
        complaint("LEASE_SECONDS", &[], Some(&format!("lease_seconds = {bad}")));
    }
}

#[test]
fn values_in_the_file_are_checked_like_those_in_the_environment() {
    complaint("LEASE_SECONDS", &[], Some("lease_seconds = 'soon'"));
    complaint("LEASE_SECONDS", &[], Some("lease_seconds = true"));
    complaint("DEBUG_MODE", &[], Some("debug_mode = 2"));
    complaint("API_KEYS", &[], Some("api_keys = ['an-api-key-0123456789', 5]"));
}

#[test]
fn a_cool_off_is_not_longer_than_past_sessions_are_kept() {
    let days = ("MESSAGE_RETENTION_DAYS", "2");
    let what = complaint("TN_COOL_OFF_MINUTES", &[days, ("TN_COOL_OFF_MINUTES", "2881")], None);
    assert!(what.contains("at most 2880"), "{what}");
    assert!(read(&[days, ("TN_COOL_OFF_MINUTES", "2880")], None).is_ok());
    for wrong in ["-1", "43201", "an hour"] {
        complaint("TN_COOL_OFF_MINUTES", &[("TN_COOL_OFF_MINUTES", wrong)], None);
    }
    for wrong in ["0", "10001", "many"] {
        complaint("SESSIONS_PER_TN", &[("SESSIONS_PER_TN", wrong)], None);
    }
}
