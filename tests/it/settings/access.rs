//! When keys are required, and settings that are refused in AWS Lambda.

use super::{AUTH, EMULATOR, FLOWROUTE, LAMBDA, complaint, complaints, good, read};
use sms_proxy::settings::{ProviderChoice, Runtime, Storage};

const ANYWHERE: [&str; 4] = ["0.0.0.0:8000", "[::]:8000", "192.168.1.10:8000", "[2001:db8::1]:8000"];

#[test]
fn without_keys_and_token_the_service_starts_on_loopback_only() {
    for loopback in ["127.0.0.1:8000", "127.1.2.3:0", "[::1]:8000"] {
        good(&[("BIND_ADDR", loopback)]);
    }
    for address in ANYWHERE {
        let what = complaint("ALLOW_UNAUTHENTICATED", &[("BIND_ADDR", address)], None);
        assert!(what.contains("API_KEYS and WEBHOOK_TOKEN are not set"), "{what}");
    }
}

#[test]
fn keys_without_a_token_are_not_enough_nor_is_a_token_without_keys() {
    for (set, missing) in [(AUTH[0], "WEBHOOK_TOKEN is not set"), (AUTH[1], "API_KEYS is not set")] {
        for address in ANYWHERE {
            let what = complaint("ALLOW_UNAUTHENTICATED", &[set, ("BIND_ADDR", address)], None);
            assert!(what.contains(missing), "{what}");
        }
    }
}

#[test]
fn the_operator_may_allow_unauthenticated_calls() {
    for yes in ["true", "True", "1"] {
        for address in ANYWHERE {
            good(&[("BIND_ADDR", address), ("ALLOW_UNAUTHENTICATED", yes)]);
        }
    }
    for no in ["false", "0", ""] {
        let environment = [("BIND_ADDR", "0.0.0.0:8000"), ("ALLOW_UNAUTHENTICATED", no)];
        complaint("ALLOW_UNAUTHENTICATED", &environment, None);
    }
}

#[test]
fn lambda_needs_keys_and_token_too() {
    let environment = [&LAMBDA[..], &FLOWROUTE].concat();
    assert!(complaints(&environment, None).contains(&"ALLOW_UNAUTHENTICATED".to_owned()));
    let environment = [&LAMBDA[..], &FLOWROUTE, &AUTH].concat();
    assert_eq!(good(&environment).runtime, Runtime::Lambda);
}

#[test]
fn lambda_refuses_sqlite() {
    let environment = [&LAMBDA[..], &FLOWROUTE, &AUTH, &[("STORAGE", "sqlite")]].concat();
    let what = complaint("STORAGE", &environment, None);
    assert!(what.contains("sqlite cannot be used in AWS Lambda"), "{what}");
}

#[test]
fn lambda_refuses_the_sandbox_chosen_or_not() {
    for environment in [
        [&LAMBDA[..], &AUTH].concat(),
        [&LAMBDA[..], &AUTH, &FLOWROUTE, &[("SMS_PROVIDER", "sandbox")]].concat(),
    ] {
        assert!(complaints(&environment, None).contains(&"SMS_PROVIDER".to_owned()));
    }
}

#[test]
fn lambda_keeps_its_records_in_dynamodb() {
    let environment = [&LAMBDA[..], &FLOWROUTE, &AUTH].concat();
    assert_eq!(good(&environment).storage, Storage::DynamoDb { table: "sms-proxy".into() });
    let named = [&environment[..], &[("DYNAMODB_TABLE", "proxy-records")]].concat();
    assert_eq!(good(&named).storage, Storage::DynamoDb { table: "proxy-records".into() });
}

#[test]
fn an_emulator_allows_sqlite_and_the_sandbox_and_needs_no_keys() {
    for storage in ["", "sqlite"] {
        for provider in ["", "sandbox"] {
            let settings = good(&[EMULATOR, ("STORAGE", storage), ("SMS_PROVIDER", provider)]);
            assert_eq!(settings.runtime, Runtime::LambdaEmulator);
            assert!(matches!(settings.provider, ProviderChoice::Sandbox));
        }
    }
}

#[test]
fn the_initialization_type_alone_does_not_mean_lambda() {
    assert_eq!(good(&LAMBDA[1..]).runtime, Runtime::Local);
}

#[test]
fn the_runtime_is_not_a_setting_of_the_file() {
    let file = "aws_lambda_runtime_api = '127.0.0.1:9001'";
    assert!(read(&[], Some(file)).is_err());
}
