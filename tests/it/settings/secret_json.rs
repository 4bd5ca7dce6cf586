//! The settings in the secret that `SECRETS_ARN` names.

use super::{AUTH, FLOWROUTE, KEY, TOKEN, complaint, read_with_secret};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sms_proxy::{
    aws::SecretArn,
    settings::{Problems, ProviderChoice, Settings},
};

const ARN: &str = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:sms-proxy-Ab12Cd";

fn whole() -> Value {
    json!({
        "FLOWROUTE_ACCESS_KEY": FLOWROUTE[0].1,
        "FLOWROUTE_SECRET_KEY": FLOWROUTE[1].1,
        "API_KEYS": format!("{KEY}, a-second-key-0123456789"),
        "WEBHOOK_TOKEN": TOKEN,
    })
}

fn read(secret: &str) -> Result<Settings, Problems> {
    read_with_secret(&[("SECRETS_ARN", ARN)], None, Some(secret))
}

#[track_caller]
fn problems(secret: &str) -> String {
    read(secret).expect_err("something to complain about").to_string()
}

#[test]
fn the_four_secret_settings_come_from_the_secret() {
    let settings = read(&whole().to_string()).unwrap();
    let ProviderChoice::Flowroute(client) = &settings.provider else { panic!("{:?}", settings.provider) };
    assert_eq!(client.access_key.expose_secret(), FLOWROUTE[0].1);
    assert_eq!(client.secret_key.expose_secret(), FLOWROUTE[1].1);
    let keys: Vec<&str> = settings.auth.api_keys.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(keys, [KEY, "a-second-key-0123456789"]);
    assert_eq!(settings.auth.webhook_token.as_ref().unwrap().expose_secret(), TOKEN);
    let shown = format!("{settings:?}");
    for (name, value) in whole().as_object().unwrap() {
        assert!(!shown.contains(value.as_str().unwrap()), "{name} shows");
    }
}

#[test]
fn what_the_secret_leaves_out_may_come_from_elsewhere() {
    let secret = json!({"API_KEYS": KEY}).to_string();
    let environment = [("SECRETS_ARN", ARN), ("WEBHOOK_TOKEN", TOKEN), FLOWROUTE[0]];
    let file = format!("flowroute_secret_key = '{}'", FLOWROUTE[1].1);
    let settings = read_with_secret(&environment, Some(&file), Some(&secret)).unwrap();
    assert!(matches!(settings.provider, ProviderChoice::Flowroute(_)));
    assert_eq!((settings.auth.api_keys.len(), settings.auth.webhook_token.is_some()), (1, true));
}

#[test]
fn a_key_that_is_set_in_the_environment_or_the_file_too_is_refused() {
    for (name, value) in [&FLOWROUTE[..], &AUTH].concat() {
        let beside = [("SECRETS_ARN", ARN), (name, value)];
        let file = format!("secrets_arn = '{ARN}'\n{} = '{value}'", name.to_lowercase());
        for (environment, file) in [(&beside[..], None), (&[], Some(file.as_str()))] {
            let problems = read_with_secret(environment, file, Some(&whole().to_string())).unwrap_err();
            let expected = "is set here and in the secret that SECRETS_ARN names; remove one of them";
            assert_eq!(problems.to_string(), format!("{name}: {expected}"));
        }
    }
    let empty = [("SECRETS_ARN", ARN), ("API_KEYS", " ")];
    read_with_secret(&empty, None, Some(&whole().to_string())).expect("an empty variable is not set");
}

#[test]
fn problems_of_the_secret_are_reported_without_its_values() {
    for no_object in ["", "hush", "{\"API_KEYS\": hush}", "[\"hush\"]", "\"hush\"", "null"] {
        let said = problems(no_object);
        assert!(said.starts_with("SECRETS_ARN: the secret is not a JSON object; "), "{said}");
        assert_eq!((said.lines().count(), said.contains("hush")), (1, false), "{said}");
    }
    for no_string in [json!(5_318_008), json!(["hush"]), json!({"a": "hush"}), json!(null), json!(true)] {
        let said = problems(&json!({"WEBHOOK_TOKEN": no_string}).to_string());
        assert_eq!(said, "SECRETS_ARN: WEBHOOK_TOKEN in the secret is not a string");
    }
    let known = "known are FLOWROUTE_ACCESS_KEY, FLOWROUTE_SECRET_KEY, API_KEYS, WEBHOOK_TOKEN";
    for (name, shown) in
        [("API_KEY", "\"API_KEY\""), ("api_keys", "\"api_keys\""), ("hush-hush-0123", "(not shown)")]
    {
        let said = problems(&json!({name: "hush"}).to_string());
        assert_eq!(said, format!("SECRETS_ARN: the secret has the unknown name {shown}; {known}"));
    }
}

#[test]
fn every_problem_in_the_secret_and_elsewhere_is_reported_together() {
    let secret = json!({"API_KEYS": "hush", "WEBHOOK_TOKEN": 1, "ORG_NAME": "Cabs"}).to_string();
    let environment = [("SECRETS_ARN", ARN), ("LOG_LEVEL", "loud")];
    let said = read_with_secret(&environment, None, Some(&secret)).unwrap_err().to_string();
    let mut names: Vec<_> = said.lines().map(|line| line.split_once(": ").unwrap().0).collect();
    names.sort_unstable();
    assert_eq!(names, ["API_KEYS", "LOG_LEVEL", "SECRETS_ARN", "SECRETS_ARN"], "{said}");
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn text_that_is_not_the_arn_of_a_secret_is_refused_and_not_shown() {
    for bad in [
        "hush",
        "sms-proxy",
        "arn:aws:secretsmanager:::",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:",
        "arn:aws:secretsmanager::123456789012:secret:hush",
        "arn:aws:ssm:us-east-1:123456789012:secret:hush",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:hush hush",
        "{\"API_KEYS\": \"hush\"}",
    ] {
        let what = complaint("SECRETS_ARN", &[("SECRETS_ARN", bad)], None);
        assert!(what.starts_with("is not the ARN of a secret, such as arn:aws:"), "{what}");
        assert!(!what.contains("hush"), "{what}");
    }
}

#[test]
fn an_arn_names_its_region() {
    for (arn, region) in [
        (ARN, "eu-west-2"),
        ("arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a/b:c", "us-gov-west-1"),
    ] {
        let parsed: SecretArn = arn.parse().unwrap();
        assert_eq!((parsed.as_str(), parsed.region()), (arn, region));
    }
}
