//! Lone surrogates (half an emoji) in a post, which no JSON library for Rust accepts.

use proptest::prelude::*;
use sms_proxy::provider::flowroute::{Event, Unreadable, read};
use test_support::{ALICE, TN};

/// The text of a flat post whose body is this JSON string.
fn text_of(json: &str) -> String {
    let post = format!(r#"{{"to":"{TN}","from":"{ALICE}","id":"mdr2-1","body":{json}}}"#);
    match read(None, post.as_bytes()).expect("readable") {
        Event::Texts(texts) => texts[0].content.body.clone(),
        Event::Ignored(_) => String::new(),
        event @ Event::Receipt(_) => panic!("{event:?}"),
    }
}

#[test]
fn lone_surrogates_become_the_replacement_character() {
    for (json, text) in [
        (r#""a\ud83d""#, "a\u{FFFD}"),
        (r#""\udE00b""#, "\u{FFFD}b"),
        (r#""\ud83d\ud83d\ude00""#, "\u{FFFD}😀"),
        (r#""\ud83d\n""#, "\u{FFFD}\n"),
        (r#""\\ud83d""#, "\\ud83d"),
        (r#""\\\ud83dé\\""#, "\\\u{FFFD}é\\"),
    ] {
        assert_eq!(text_of(json), text, "{json}");
    }
}

proptest! {
    #[test]
    fn valid_json_is_left_as_it_is(text in any::<String>()) {
        let json = serde_json::to_string(&text).expect("a string is JSON");
        prop_assert_eq!(text_of(&json), text);
    }

    #[test]
    fn any_sequence_of_code_units_becomes_readable(units in prop::collection::vec(any::<u16>(), 0..20)) {
        let json: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        prop_assert_eq!(text_of(&format!("\"{json}\"")), String::from_utf16_lossy(&units));
    }

    #[test]
    fn any_body_at_all_is_read_or_refused(text in any::<String>()) {
        for post in [text.clone(), format!("\\{text}"), format!("{{\"body\":\"\\{text}\"}}")] {
            let is_refused = matches!(read(None, post.as_bytes()), Err(error) if error != Unreadable::Missing("data"));
            prop_assert!(is_refused, "{post:?}");
        }
    }
}
