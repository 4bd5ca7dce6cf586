//! The function's variables and the template's parameters agree with the settings.

use super::{properties, template};
use serde_json::{Value, json};
use sms_proxy::settings::{Kind, SETTINGS, Setting, Settings, Storage};
use std::collections::BTreeMap;

/// The variables of the function, with placeholders for the resources that they refer to.
fn variables() -> BTreeMap<String, String> {
    let parameters = template("template.yaml")["Parameters"].take();
    let variables = properties("Function")["Environment"]["Variables"].take();
    let variables = variables.as_object().unwrap().iter().map(|(name, value)| {
        let default = &parameters[value["Ref"].as_str().unwrap_or_default()]["Default"];
        let value = match (name.as_str(), default) {
            ("DYNAMODB_TABLE", _) => "a-table".into(),
            ("PUBLIC_URL", _) => "https://api.example.com".into(),
            ("BASE_PATH", _) => String::new(),
            ("SECRETS_ARN", _) => {
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:sms-proxy-AbCdEf".into()
            }
            (_, Value::String(text)) => text.clone(),
            (_, Value::Number(number)) => number.to_string(),
            _ if value.is_boolean() => value.to_string(),
            _ => panic!("{name} is {value}, neither true, nor false, nor a parameter with a default"),
        };
        (name.clone(), value)
    });
    variables.collect()
}

fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().copied().find(|setting| setting.name == name)
}

#[test]
fn every_variable_of_the_function_is_a_setting() {
    for (name, _) in variables() {
        assert!(setting(&name).is_some(), "{name} is no setting");
    }
}

#[test]
fn the_parameters_allow_what_the_program_allows() {
    let parameters = template("template.yaml")["Parameters"].take();
    let variables = properties("Function")["Environment"]["Variables"].take();
    let mut numbers = 0;
    for (name, value) in variables.as_object().unwrap() {
        let (Some(setting), Some(parameter)) = (setting(name), value["Ref"].as_str()) else { continue };
        let parameter = &parameters[parameter];
        match setting.kind {
            Kind::Number { least, most } => {
                let bounds = (&parameter["Type"], &parameter["MinValue"], &parameter["MaxValue"]);
                assert_eq!(bounds, (&json!("Number"), &json!(least), &json!(most)), "{name}");
                numbers += 1;
            }
            // Log levels have numbers too, which the template leaves out.
            Kind::OneOf(words) => {
                let words: Vec<_> = words.iter().filter(|word| word.parse::<u32>().is_err()).collect();
                assert_eq!(parameter["AllowedValues"], json!(words), "{name}");
            }
            // The program refuses a blank text.
            Kind::Text => {
                assert_eq!(parameter["MinLength"], 1, "{name}");
                assert_eq!(parameter["AllowedPattern"], r"[\s\S]*\S[\s\S]*", "{name}");
            }
            Kind::OptionalText => assert_eq!(parameter["MinLength"], Value::Null, "{name}"),
            Kind::Switch | Kind::Secret { .. } | Kind::Other(_) => {
                assert!(
                    [
                        "SECRETS_ARN",
                        "DYNAMODB_TABLE",
                        "TN_COOL_OFF_STRICT",
                        "WEBHOOK_ALLOWED_IPS",
                        "CONSOLE",
                        "RECEIPTS_BY_PROVIDER_ID"
                    ]
                    .contains(&name.as_str()),
                    "{name}"
                );
            }
        }
    }
    assert_eq!(numbers, 9);
}

#[test]
fn the_function_starts_with_the_templates_defaults_which_are_the_programs() {
    let all = variables();
    let secret = json!({
        "FLOWROUTE_ACCESS_KEY": "access",
        "FLOWROUTE_SECRET_KEY": "secret",
        "API_KEYS": "an-api-key-0123456789",
        "WEBHOOK_TOKEN": "a-webhook-token-0123456789",
    });
    let read = |given: &dyn Fn(&str) -> bool| {
        let environment = |name: &str| match name {
            "AWS_LAMBDA_RUNTIME_API" => Some("127.0.0.1:9001".into()),
            "AWS_LAMBDA_INITIALIZATION_TYPE" => Some("on-demand".into()),
            name => all.get(name).filter(|_| given(name)).cloned(),
        };
        Settings::read(&environment, None, Some(&secret.to_string()))
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let mut settings = read(&|_| true);
    assert_eq!(settings.storage, Storage::DynamoDb { table: "a-table".into() });
    // The function knows that receipts name our own id. The program does not know it by itself.
    assert!(!settings.receipts_by_provider_id);
    settings.receipts_by_provider_id = true;
    let by_themselves = read(&|name| ["DYNAMODB_TABLE", "PUBLIC_URL", "SECRETS_ARN"].contains(&name));
    assert_eq!(format!("{settings:?}"), format!("{by_themselves:?}"));
}

#[test]
fn every_parameter_has_limits_or_needs_none() {
    let parameters = template("template.yaml")["Parameters"].take();
    // The program takes any text for these.
    let free = ["AlarmEmail", "SessionExpiredMsg", "MediaMissingMsg", "NotDeliveredMsg"];
    for (name, parameter) in parameters.as_object().unwrap() {
        let limited =
            ["AllowedValues", "AllowedPattern", "MinValue"].iter().any(|limit| !parameter[limit].is_null());
        assert!(limited || free.contains(&name.as_str()), "{name}: {parameter}");
    }
}
