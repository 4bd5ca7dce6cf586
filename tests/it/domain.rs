//! Phone numbers and ids, as they are read and shown.

use sms_proxy::domain::{InvalidId, InvalidNumber, Number, SessionId};

#[test]
fn an_id_reads_back_as_it_is_written() {
    let id = SessionId::random();
    assert_eq!(id.to_string().parse(), Ok(id));
}

#[test]
fn only_32_lower_case_hex_digits_are_an_id() {
    for bad in ["", "abc", &"g".repeat(32), &"A".repeat(32), "67e55044-10b1-426f-9247-bb680e5fe0c8"] {
        assert_eq!(bad.parse::<SessionId>(), Err(InvalidId), "{bad}");
    }
}

#[test]
fn a_leading_plus_is_dropped() {
    assert_eq!("+12065551212".parse::<Number>().map(Number::digits), Ok("12065551212".into()));
}

#[test]
fn anything_but_eleven_digits_with_a_leading_1_is_refused() {
    for (bad, why) in [
        ("", InvalidNumber::Length(0)),
        ("2065551212", InvalidNumber::Length(10)),
        ("120655512123", InvalidNumber::Length(12)),
        ("22065551212", InvalidNumber::Country),
        ("02065551212", InvalidNumber::Country),
        ("++12065551212", InvalidNumber::NotDigits),
        ("1206555121a", InvalidNumber::NotDigits),
        (" 12065551212", InvalidNumber::NotDigits),
        ("١٢٠٦٥٥٥١٢١٢", InvalidNumber::NotDigits),
    ] {
        assert_eq!(bad.parse::<Number>(), Err(why), "{bad:?}");
    }
    assert_eq!(Number::try_from(5), Err(InvalidNumber::Length(1)));
    assert_eq!(Number::try_from(22_065_551_212), Err(InvalidNumber::Country));
}

#[test]
fn debug_output_shows_the_last_four_digits_only() {
    let number: Number = "12065550012".parse().expect("valid");
    assert_eq!(format!("{number:?}"), "***0012");
}
