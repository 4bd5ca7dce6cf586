//! Who sent a text, and to which numbers.

use super::{arrived, json_api, to_bob};
use serde_json::json;
use test_support::{ALICE, BOB, Backend, EVE, TN, fresh_id, fresh_number, logged, number, on_each_backend};

on_each_backend! {
    a_text_to_a_list_of_numbers_arrives_once_through_the_tn_among_them
    a_text_to_several_tns_arrives_through_each
    a_text_that_is_posted_again_in_another_form_arrives_once
    one_of_our_tns_is_found_among_up_to_a_hundred_numbers
    senders_and_tns_are_recognised_however_their_numbers_are_written
    nobody_is_answered_who_cannot_be_texted
}

async fn a_text_to_a_list_of_numbers_arrives_once_through_the_tn_among_them(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let plus = format!("+{TN}");
    for to in [
        json!([TN]),
        json!([TN, TN]),
        json!([EVE, TN]),
        json!([null, "", TN.parse::<u64>().unwrap(), "AMAZON", "12345", "someone@example.com"]),
        json!([plus, TN]),
        json!([{"phone_number": TN}, {"phone_number": EVE}]),
        json!(format!("{EVE}, {TN}")),
    ] {
        let flat = json!({"id": fresh_id(), "to": to, "from": ALICE, "body": "hi"}).to_string();
        for post in [flat, json_api(json!({"to": to, "from": ALICE, "body": "hi"}))] {
            for _ in 0..2 {
                assert_eq!(app.post(&post).await.status, 200, "{to}");
            }
            assert_eq!(arrived(&app), to_bob("hi"), "{to}");
        }
    }
    for to in [json!([EVE]), json!([EVE, BOB]), json!(["12345"])] {
        app.post(&json_api(json!({"to": to, "from": ALICE, "body": "hi"}))).await;
        assert_eq!(arrived(&app), [], "{to}");
    }
    for to in [json!([]), json!([null]), json!([[TN]]), json!({}), json!(["AMAZON"])] {
        let answer = app.post(&json_api(json!({"to": to, "from": ALICE, "body": "hi"}))).await;
        answer.assert_error(400, "invalid_number");
    }
}

async fn a_text_to_several_tns_arrives_through_each(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let other = fresh_number();
    app.add_tn(&other).await;
    assert_eq!(app.open_session(ALICE, EVE, None).await["virtual_tn"], json!(other));
    app.provider.clear();
    let post = json!({"id": fresh_id(), "to": [TN, other, BOB], "from": ALICE, "body": "hi"});
    for _ in 0..2 {
        assert_eq!(app.post(&post).await.status, 200);
    }
    let mut taken = app.provider.taken();
    taken.sort_by(|a, b| a.to.cmp(&b.to));
    let seen: Vec<_> = taken.iter().map(|text| (text.from.as_str(), text.to.as_str())).collect();
    assert_eq!(seen, [(TN, BOB), (&other, EVE)]);
}

async fn senders_and_tns_are_recognised_however_their_numbers_are_written(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let written = |number: &str| {
        let [area, exchange, line] = [&number[1..4], &number[4..7], &number[7..]];
        let wide: String =
            number.chars().map(|c| char::from_u32(u32::from(c) - 0x30 + 0xFF10).unwrap()).collect();
        [
            format!("{area}{exchange}{line}"),
            format!("({area}) {exchange}-{line}"),
            format!("+1 ({area}) {exchange}-{line}"),
            format!("1-{area}-{exchange}-{line}"),
            format!("{area}.{exchange}.{line}"),
            format!("+1\u{a0}{area}\u{2011}{exchange}\u{2013}{line}"),
            format!("  +{number}\n"),
            format!("\u{feff}\u{202a}+{number}\u{202c}"),
            format!("tel:+1-{area}-{exchange}-{line}"),
            format!("00{number}"),
            format!("011{number}"),
            wide,
        ]
    };
    for (from, to) in written(ALICE).into_iter().zip(written(TN)) {
        app.post(json!({"id": fresh_id(), "from": from, "to": to, "body": "hi"})).await;
        assert_eq!(arrived(&app), to_bob("hi"), "{from:?}");
        app.post(&json_api(json!({"from": from, "to": to, "body": "hi"}))).await;
        assert_eq!(arrived(&app), to_bob("hi"), "{from:?}");
    }
    let ten = ALICE[1..].parse::<u64>().unwrap();
    app.post(json!({"id": fresh_id(), "from": ten, "to": TN, "body": "hi"})).await;
    assert_eq!(arrived(&app), to_bob("hi"));
    // The API's own calls are strict.
    for number in [&ALICE[1..], "(206) 555-1212", "+1 206 555 1212"] {
        let answer = app.call("POST", "/tn", Some(json!({"value": number}))).await;
        answer.assert_error(400, "invalid_number");
    }
}

async fn nobody_is_answered_who_cannot_be_texted(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for from in [
        json!("AMAZON"),
        json!("Amazon, Inc."),
        json!("someone@example.com"),
        json!("Bank 24"),
        json!("1-800-FLOWERS"),
        json!("anonymous"),
        json!("+44 20 7183 8750"),
        json!("0012"),
        json!(72975),
        json!(-12065551212_i64),
        json!(1.5),
        json!("+2065551212"),
        json!([ALICE, EVE]),
        json!("👋"),
    ] {
        for post in [
            json!({"id": fresh_id(), "from": from, "to": TN, "body": "hi"}).to_string(),
            json_api(json!({"from": from, "to": TN, "body": "hi"})),
        ] {
            assert_eq!(app.post(&post).await.status, 200, "{from}");
            assert_eq!(arrived(&app), [], "{from}");
        }
    }
    assert!(logged().contains("post ignored reason=UnanswerableSender"), "{}", logged());
}

async fn a_text_that_is_posted_again_in_another_form_arrives_once(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let other = fresh_number();
    app.add_tn(&other).await;
    let forms =
        [json!(TN), json!([TN]), json!([TN, other]), json!([TN, EVE]), json!(format!("{TN},{other}"))];
    for first in &forms {
        for second in &forms {
            let id = fresh_id();
            for to in [first, second, first] {
                let flat = json!({"id": id, "to": to, "from": ALICE, "body": "hi"});
                assert_eq!(app.post(flat).await.status, 200);
            }
            let mut data =
                json!({"data": {"id": id, "type": "message", "attributes": {"from": ALICE, "body": "hi"}}});
            data["data"]["attributes"]["to"] = second.clone();
            assert_eq!(app.post(data).await.status, 200);
            let mut through_tn = arrived(&app);
            through_tn.retain(|(to, _)| to == BOB);
            assert_eq!(through_tn, to_bob("hi"), "{first}, then {second}");
        }
    }
}

async fn one_of_our_tns_is_found_among_up_to_a_hundred_numbers(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let post = async |foreign: u32| {
        let mut to: Vec<String> = (0..foreign).map(|n| number(5_000 + n)).collect();
        to.push(TN.to_owned());
        let id = fresh_id();
        let text = json!({"id": id, "to": to, "from": ALICE, "body": "hi"});
        assert_eq!(app.post(text).await.status, 200);
    };
    for foreign in [1, 40, 99] {
        post(foreign).await;
        assert_eq!(arrived(&app), to_bob("hi"), "{foreign}");
    }
    // A longer list would take too long; the log says so.
    post(100).await;
    assert_eq!(arrived(&app), []);
    assert!(logged().contains("a text has 101 recipients, of which 100 are looked at"));
}
