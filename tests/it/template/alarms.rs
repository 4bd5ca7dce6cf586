//! The alarms and the dashboard watch what the program writes, and reach the operator.

use super::{properties, sources, template};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The metrics of a template's alarms and dashboards that are the program's own.
fn watched() -> BTreeSet<String> {
    let mut watched = BTreeSet::new();
    for resource in template("infra/alarms.yaml")["Resources"].as_object().unwrap().values() {
        let properties = &resource["Properties"];
        if properties["Namespace"] == "SmsProxy" {
            let function = json!([{"Name": "FunctionName", "Value": {"Ref": "FunctionName"}}]);
            assert_eq!(properties["Dimensions"], function);
            watched.extend(properties["MetricName"].as_str().map(str::to_owned));
        }
        let Some(body) = properties["DashboardBody"]["Fn::Sub"].as_str() else { continue };
        let body: Value = serde_json::from_str(body).unwrap();
        for widget in body["widgets"].as_array().unwrap() {
            let mut namespace = Value::Null;
            for metric in widget["properties"]["metrics"].as_array().unwrap() {
                // "." repeats the field of the metric above.
                if ![".", "..."].map(Value::from).contains(&metric[0]) {
                    namespace = metric[0].clone();
                }
                if namespace == "SmsProxy" {
                    watched.extend(metric[1].as_str().map(str::to_owned));
                }
            }
        }
    }
    watched
}

#[test]
fn every_metric_that_is_watched_is_one_that_the_program_writes() {
    let sources = sources();
    let names = sources.iter().find(|(_, text)| text.contains(r#""SmsProxy""#));
    let (_, names) = names.expect("the file that names the metrics");
    let words: BTreeSet<&str> = names.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let watched = watched();
    assert!(watched.len() > 10, "{watched:?}");
    for metric in watched {
        assert!(words.contains(metric.as_str()), "the program writes no {metric}");
    }
}

#[test]
fn every_alarm_reaches_the_topic() {
    let resources = template("infra/alarms.yaml")["Resources"].take();
    let alarms =
        resources.as_object().unwrap().iter().filter(|(_, it)| it["Type"] == "AWS::CloudWatch::Alarm");
    let alarms: Vec<_> = alarms.collect();
    assert!(!alarms.is_empty());
    for (name, alarm) in alarms {
        let topic = json!([{"Ref": "Topic"}]);
        let actions = (&alarm["Properties"]["AlarmActions"], &alarm["Properties"]["OKActions"]);
        assert_eq!(*actions.0, topic, "{name}");
        assert!([&Value::Null, &topic].contains(&actions.1), "{name}");
        let silent = if name == "MaintenanceStopped" { "breaching" } else { "notBreaching" };
        assert_eq!(alarm["Properties"]["TreatMissingData"], silent, "{name}");
    }
}

#[test]
fn wrong_keys_and_the_texts_of_an_hour_are_watched() {
    let resources = template("infra/alarms.yaml")["Resources"].take();
    let watched = |metric: &str| -> Vec<&Value> {
        let alarms = resources.as_object().unwrap().values().map(|alarm| &alarm["Properties"]);
        alarms.filter(|alarm| alarm["MetricName"] == metric && alarm["Statistic"] == "Sum").collect()
    };
    assert_eq!(watched("Unauthorized").len(), 1);
    let texts = watched("TextsSent");
    assert_eq!(
        (&texts[0]["Period"], &texts[0]["Threshold"]),
        (&json!(3600), &json!({"Ref": "ManyTextsPerHour"}))
    );
}

#[test]
fn the_alarms_get_their_parameters() {
    let asked = template("infra/alarms.yaml")["Parameters"].take();
    let given = properties("Alarms")["Parameters"].take();
    assert!(given.as_object().unwrap().keys().eq(asked.as_object().unwrap().keys()), "{given}");
    assert_eq!(properties("Alarms")["Location"], "infra/alarms.yaml");
}
