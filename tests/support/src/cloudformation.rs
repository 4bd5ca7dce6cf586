//! CloudFormation templates as JSON.

use saphyr::{LoadableYamlNode, Scalar, Tag, Yaml};
use serde_json::{Map, Value, json};

/// Reads a template of this project with its short forms written out: `!Ref x` as `{"Ref": "x"}`, `!GetAtt a.b` as
/// `{"Fn::GetAtt": "a.b"}`.
pub fn template(path: &str) -> Value {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(documents.len(), 1, "{path}");
    json_of(&documents[0])
}

fn json_of(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(yes)) => json!(yes),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::FloatingPoint(number)) => json!(number.0),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(items) => items.iter().map(json_of).collect(),
        Yaml::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                let key = key.as_str().unwrap_or_else(|| panic!("{key:?} is no name"));
                (key.to_owned(), json_of(value))
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Yaml::Tagged(tag, value) => json!({long_form(tag): json_of(value)}),
        other => panic!("{other:?} in a template"),
    }
}

fn long_form(tag: &Tag) -> String {
    assert_eq!(tag.handle, "!", "{tag:?} is no short form");
    match tag.suffix.as_str() {
        name @ ("Ref" | "Condition") => name.to_owned(),
        name => format!("Fn::{name}"),
    }
}
