//! Phone numbers, as strings and integers.

use super::{Subject, fuzz};
use serde_json::{Value, json};
use sms_proxy::domain::{AllowedCountries, InvalidNumber, Number};
use test_support::{ALICE, TN};

/// A TN is added if and only if its number is one that may be texted; then it reads as it was read.
async fn check(subject: &Subject, input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    check_value(subject, text.parse(), json!(text)).await;
    if let Ok(integer) = text.parse::<u64>() {
        check_value(subject, Number::try_from(integer), json!(integer)).await;
    }
}

async fn check_value(subject: &Subject, number: Result<Number, InvalidNumber>, value: Value) {
    let answer = subject.call("POST", "/tn", &json!({"value": value})).await;
    let Ok(number) = number else {
        assert_eq!(answer.status, 400, "{answer:?}");
        return assert!(!has_number(&answer.body), "{answer:?}");
    };
    let digits = number.digits();
    assert_eq!((digits.parse(), Number::try_from(number.as_u64())), (Ok(number), Ok(number)));
    assert!(
        digits.len() == 11 && digits.starts_with('1') && digits.bytes().all(|byte| byte.is_ascii_digit())
    );
    assert!(!has_number(&number.masked()) && !has_number(&format!("{number:?}")));
    let shown = subject.call("GET", &format!("/tn/{digits}"), &Value::Null).await;
    if AllowedCountries::default().check(number).is_err() {
        assert_eq!((answer.status, shown.status), (400, 404), "{answer:?}, {shown:?}");
    } else if answer.status == 200 {
        assert_eq!((&answer.json()["value"], &shown.json()["value"]), (&json!(digits), &json!(digits)));
    } else {
        // It is in the pool already, or a participant's.
        let reason = answer.json()["reason"].clone();
        assert!(
            shown.status == 200 && reason == "duplicate_tn" || digits.starts_with("1206555"),
            "{answer:?}"
        );
    }
}

/// Whether this shows more digits in a row than the last four and a count.
fn has_number(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 4)
}

#[test]
fn what_is_read_as_a_number_is_one_and_may_be_texted() {
    let seeds = [
        TN,
        ALICE,
        "+12062992130",
        "12505550123",
        "18765551212",
        "19005551212",
        "18005551212",
        "2062992129",
        "0012062992129",
        "+1 (206) 299-2129",
        "١٢٠٦٢٩٩٢١٢٩",
        "１２０６２９９２１２９",
        "12062992129.0",
        "1.2062992129e10",
    ];
    fuzz("numbers", seeds.map(|seed| seed.as_bytes().to_vec()).into(), check);
}
