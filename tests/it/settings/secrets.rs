//! Secrets have a form, and appear in no error and no debug output.

use super::{AUTH, FLOWROUTE, complaint, complaints, good, read};
use proptest::prelude::*;
use sms_proxy::settings::SETTINGS;

#[test]
fn secrets_do_not_show_in_debug_output() {
    let environment = [&FLOWROUTE[..], &AUTH].concat();
    let settings = good(&environment);
    for shown in [format!("{settings:?}"), format!("{settings:#?}")] {
        for (name, secret) in &environment {
            assert!(!shown.contains(secret), "{name} shows");
        }
    }
}

#[test]
fn bad_secrets_do_not_show_in_the_complaints_about_them() {
    for name in ["API_KEYS", "WEBHOOK_TOKEN", "FLOWROUTE_ACCESS_KEY", "FLOWROUTE_SECRET_KEY"] {
        for secret in
            ["hush", "hush hush hush hush", "hush-hush-hush-hüsh", "hush-hush-hush-hush\u{1}", "hush,,"]
        {
            let environment = [(name, secret)];
            let Err(problems) = read(&environment, None) else { continue };
            assert!(!problems.to_string().contains("hush"), "{problems}");
            assert!(!format!("{problems:?}").contains("hush"), "{problems:?}");
            let file = format!("{} = {secret:?}", name.to_lowercase());
            let problems = read(&[], Some(&file)).expect_err("as bad as in the environment").to_string();
            assert!(!problems.contains("hush"), "{problems}");
        }
    }
}

#[test]
fn a_file_that_is_no_toml_is_not_quoted() {
    for line in ["webhook_token = hush", "webhook_token = \"hush", "hush", "api_keys = ['hush' 'hush']"] {
        let problems = read(&[], Some(line)).expect_err("no TOML").to_string();
        assert!(!problems.contains("hush"), "{problems}");
    }
}

#[test]
fn credentials_in_an_address_are_refused_and_not_shown() {
    for name in ["PUBLIC_URL", "FLOWROUTE_API_URL"] {
        for address in [
            "https://proxy.example.com/?token=hush",
            "https://user:hush@proxy.example.com/",
            "https://hush@proxy.example.com/",
            "https://proxy.example.com/#hush",
            "http://user:hush@proxy.example.com/",
            "user:hush@proxy.example.com",
            "proxy.example.com?token=hush",
        ] {
            let problems = read(&[(name, address)], None).expect_err("credentials").to_string();
            assert!(problems.starts_with(name), "{problems}");
            assert!(!problems.contains("hush"), "{problems}");
        }
    }
}

fn names() -> Vec<&'static str> {
    SETTINGS.iter().map(|setting| setting.name).collect()
}

/// Any characters, line breaks included.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![any::<char>(), Just('\n')], 0..20).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn whatever_is_set_each_line_of_the_complaints_begins_with_a_settings_name(
        settings in prop::collection::vec((prop::sample::select(names()), text()), 0..6),
        file in prop::option::of(text()),
    ) {
        let environment: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if read(&environment, file.as_deref()).is_err() {
            for name in complaints(&environment, file.as_deref()) {
                prop_assert!(names().contains(&name.as_str()) || name == "SETTINGS_FILE", "{}", name);
            }
        }
    }
}

#[test]
fn keys_and_tokens_are_not_short() {
    for keys in [
        "0123456789abcde",
        "0123456789abcdef,x",
        "0123456789abcdef,",
        ",",
        "0123456789abcdef,,0123456789abcdef",
    ] {
        let what = complaint("API_KEYS", &[("API_KEYS", keys)], None);
        assert!(what.contains("fewer than 16 characters"), "{what}");
    }
    let what = complaint("WEBHOOK_TOKEN", &[("WEBHOOK_TOKEN", "0123456789abcde")], None);
    assert!(what.contains("at least 16 characters"), "{what}");
}

#[test]
fn keys_and_tokens_have_only_characters_that_mean_themselves_in_a_url() {
    let others = " \t\"#$%&'()*+/:;<=>?@[\\]^`{|}é\u{200b}";
    for other in others.chars() {
        let bad = format!("0123456789{other}abcdef");
        for name in ["API_KEYS", "WEBHOOK_TOKEN"] {
            let what = complaint(name, &[(name, &bad)], None);
            assert!(what.contains("letters, digits, - . _ and ~ only"), "{what}");
            assert!(!what.contains("0123456789"), "{what}");
        }
    }
    complaint("API_KEYS", &[("API_KEYS", "0123456789abcdef,0123456789+abcdef")], None);
    complaint("WEBHOOK_TOKEN", &[("WEBHOOK_TOKEN", "abc+def/ghi==jkl&m")], None);
    for good in ["0123456789abcdef", "ABCDEFGHIJ-._~xyz"] {
        for name in ["API_KEYS", "WEBHOOK_TOKEN"] {
            assert!(read(&[(name, good)], None).is_ok());
        }
    }
}

#[test]
fn flowroutes_keys_are_printable_ascii() {
    for (bad, other) in [(FLOWROUTE[0].0, FLOWROUTE[1]), (FLOWROUTE[1].0, FLOWROUTE[0])] {
        complaint(bad, &[(bad, "with space"), other], None);
    }
}
