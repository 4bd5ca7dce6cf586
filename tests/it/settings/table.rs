//! The table of settings agrees with the program and `settings.example.toml`.

use super::{complaint, good};
use sms_proxy::{
    service::Options,
    settings::{Kind, SETTINGS},
};

const EXAMPLE: &str = include_str!("../../../settings.example.toml");

/// The names of the example and their values, as the environment would have them.
fn example() -> Vec<(String, String)> {
    let lines = EXAMPLE.lines().filter_map(|line| line.trim_start_matches('#').split_once(" = "));
    let settings =
        lines.filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    settings.map(|(name, value)| (name.to_uppercase(), value.trim_matches('"').to_owned())).collect()
}

#[test]
fn the_example_names_every_setting_with_its_default() {
    let example = example();
    let mut named: Vec<&str> = example.iter().map(|(name, _)| name.as_str()).collect();
    let mut names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    named.sort_unstable();
    names.sort_unstable();
    assert_eq!(named, names);
    for setting in SETTINGS {
        let (_, value) = example.iter().find(|(name, _)| name == setting.name).unwrap();
        if let Some(default) = setting.default {
            assert_eq!(value, default, "{}", setting.name);
        }
    }
}

#[test]
fn to_set_every_default_changes_nothing() {
    let defaults = SETTINGS.iter().filter_map(|setting| Some((setting.name, setting.default?)));
    let settings = good(&defaults.collect::<Vec<_>>());
    assert_eq!(format!("{settings:?}"), format!("{:?}", good(&[])));
}

#[test]
fn the_services_own_defaults_are_those_of_the_settings() {
    assert_eq!(format!("{:?}", good(&[]).options), format!("{:?}", Options::default()));
}

#[test]
fn the_bounds_in_the_table_are_those_of_the_reader() {
    for setting in SETTINGS {
        let Kind::Number { most, .. } = setting.kind else { continue };
        let above = (most + 1).to_string();
        let expected = format!("{above} is not {}", setting.kind.expected());
        assert_eq!(complaint(setting.name, &[(setting.name, &above)], None), expected);
    }
}
