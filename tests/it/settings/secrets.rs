//! Secrets appear in no error and no debug output.

use super::{AUTH, FLOWROUTE, KEY, TOKEN, complaint, complaints, good, read};
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

/// All settings, and a name that is reserved for a later version.
fn names() -> Vec<&'static str> {
    SETTINGS.iter().map(|setting| setting.name).chain(["WEBHOOK_ALLOWED_IPS"]).collect()
}

/// Any characters, line breaks included.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![any::<char>(), Just('\n')], 0..20).prop_map(String::from_iter)
}

#[test]
fn an_api_key_may_have_a_name_and_may_be_its_hash() {
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    for written in [
        "0123456789abcdef".to_owned(),
        "dispatch=0123456789abcdef".to_owned(),
        "night.shift-2 = 0123456789abcdef , day=fedcba9876543210".to_owned(),
        format!("sha256:{hash}"),
        format!("sha256:{}", hash.to_uppercase()),
        format!("dispatch=sha256:{hash}"),
    ] {
        assert!(read(&[("API_KEYS", &written)], None).is_ok(), "{written}");
    }
    for written in [
        "sha256:".to_owned(),
        format!("sha256:{}", &hash[1..]),
        format!("sha256:{hash}0"),
        format!("sha256:{}x", &hash[1..]),
        format!("SHA256:{hash}"),
        "sha256:hush-hush-hush-hush".to_owned(),
        "=hush-hush-hush-hush".to_owned(),
        "hush=".to_owned(),
        "hush-hush-hush-hush=".to_owned(),
        "hush-hush-hush-hush==".to_owned(),
        "hush hush=0123456789abcdef".to_owned(),
        format!("{}=0123456789abcdef", "hush-".repeat(7)),
        "a=b=0123456789abcdef".to_owned(),
        "aaaaaaaaaaaaaaaaaaaa".to_owned(),
        "hush=aaaaaaaaaaaaaaaaaaaa".to_owned(),
    ] {
        let what = complaint("API_KEYS", &[("API_KEYS", &written)], None);
        assert!(!what.contains("hush"), "{written}: {what}");
    }
    complaint("WEBHOOK_TOKEN", &[("WEBHOOK_TOKEN", "aaaaaaaaaaaaaaaaaaaa")], None);
}

#[test]
fn a_key_that_is_the_webhooks_token_too_is_refused() {
    let hash = sms_proxy::http::Hash::of(TOKEN);
    for keys in
        [TOKEN.to_owned(), format!("dispatch={TOKEN}"), format!("sha256:{hash}"), format!("{KEY},{TOKEN}")]
    {
        let what = complaint("WEBHOOK_TOKEN", &[("API_KEYS", &keys), ("WEBHOOK_TOKEN", TOKEN)], None);
        assert!(what.contains("API_KEYS") && !what.contains(TOKEN), "{what}");
    }
}

#[test]
fn the_keys_of_the_documentation_are_warned_of() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["README.md", "docs/api.md", "docs/operations.md", "docs/aws.md", "settings.example.toml"];
    let mut found = 0;
    for page in pages {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_=.~".contains(c)));
        let samples = words.map(|word| word.rsplit('=').next().unwrap()).filter(|word| {
            let is_hex = word.len() == 20 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hex || (word.starts_with("example-") && word.len() >= 16)
        });
        for sample in samples {
            for (name, written) in [
                ("API_KEYS", sample.to_owned()),
                ("API_KEYS", format!("{KEY},dispatch={sample}")),
                ("WEBHOOK_TOKEN", sample.to_owned()),
            ] {
                let warnings = good(&[(name, &written)]).warnings;
                assert!(
                    warnings.len() == 1 && warnings[0].starts_with(name),
                    "{page}: {sample}: {warnings:?}"
                );
                assert!(!warnings[0].contains(sample), "{warnings:?}");
            }
            found += 1;
        }
    }
    assert!(found > 5, "{found}");
    assert!(good(&AUTH).warnings.is_empty());
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
