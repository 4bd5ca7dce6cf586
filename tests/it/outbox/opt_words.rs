//! The words by which people opt out and in again, however they are written (docs/flowroute.md#opt-out).

use serde_json::{Value, json};
use test_support::{ALICE, App, BOB, Backend, EVE, TN, fresh_id, logged, on_each_backend, unpaced};

on_each_backend! {
    stop_opts_out_however_it_is_written
    the_usual_words_opt_out_and_those_that_people_use_do_not
    the_operators_words_replace_the_usual_ones_and_stop_always_counts
    stop_beside_a_layout_part_opts_out_and_beside_a_picture_does_not
    unstop_opts_in_again_however_it_is_written
    start_from_somebody_who_has_opted_out_is_neither_relayed_nor_an_opt_in
    start_from_anybody_else_is_a_text_like_any_other
}

/// Whether Bob has opted out, as Alice's next text shows; then he opts in again.
async fn has_bob_opted_out(app: &App) -> bool {
    app.provider.clear();
    app.text(ALICE, TN, "are you there?").await;
    let is_out = app.provider.asked() == 0;
    app.text(BOB, TN, "UNSTOP").await;
    app.provider.clear();
    is_out
}

/// Asserts that these words of Bob opt him out and reach nobody.
async fn assert_opts_out(app: &App, words: &[&str]) {
    for word in words {
        app.text(BOB, TN, word).await;
        assert_eq!(app.provider.asked(), 0, "{word:?}");
        assert!(has_bob_opted_out(app).await, "{word:?}");
    }
}

/// Asserts that these words of Bob reach Alice and do not opt him out.
async fn assert_relayed(app: &App, words: &[&str]) {
    for word in words {
        app.text(BOB, TN, word).await;
        assert_eq!(app.provider.taken_by(), [(ALICE.to_owned(), (*word).to_owned())]);
        assert!(!has_bob_opted_out(app).await, "{word:?}");
    }
}

async fn stop_opts_out_however_it_is_written(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    assert_opts_out(
        &app,
        &[
            "Stop.",
            "STOP!",
            "stop!!!",
            "STOP?",
            "Stop…",
            "stop ...",
            "STOP,",
            "¡STOP!",
            "STOP;",
            "STOP:",
            "STOP。",
            "\"STOP\"",
            "'stop'",
            "“STOP”",
            "«STOP»",
            "‘stop’.",
            "`stop`",
            "„STOP“",
            "「STOP」",
            "´stop´",
            "\"STOP.\"",
            "\u{feff}STOP",
            "STOP\u{200b}",
            "S\u{200d}T\u{ad}O\u{2060}P",
            "\u{202a}STOP\u{202c}",
            "\u{200e}STOP\u{200f}",
            "STOP\u{fe0f}",
            "STOP\u{0}",
            "\u{a0}STOP\u{a0}",
            "\u{3000}STOP\u{2003}\n",
            "\r\n\tStop \t",
            "STOP\u{2028}",
            "\u{2800}STOP",
            "STOP -",
            "— stop",
            "ＳＴＯＰ",
            "ｓｔｏｐ！",
            "＂ＳＴＯＰ＂",
            "𝐒𝐓𝐎𝐏",
            "Ⓢⓣⓞⓟ",
            "sToP",
        ],
    )
    .await;
    assert!(logged().contains("opted out of this TN from=\"***1213\" to=\"***2129\""), "{}", logged());
    assert_relayed(
        &app,
        &[
            "STOP PLEASE",
            "please stop",
            "STOP 2",
            "S T O P",
            "S.T.O.P",
            "STOP :)",
            "STOP 🛑",
            "stopp",
            "STOPPED",
            "NONSTOP",
            "ST0P",
            "(STOP)",
            "STOP\nbus 5",
            "!",
            "\u{200b}",
            "\"\"",
            "-",
        ],
    )
    .await;
}

async fn the_usual_words_opt_out_and_those_that_people_use_do_not(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    assert_opts_out(
        &app,
        &[
            "STOPALL",
            "unsubscribe",
            "Revoke.",
            "OPTOUT",
            "OPT OUT",
            "opt-out",
            "Opt \u{a0} out!",
            "opt\u{2011}out",
            "“Opt Out”",
            "ｏｐｔ　ｏｕｔ",
            "\u{feff}StopAll\u{200b}",
        ],
    )
    .await;
    assert_relayed(
        &app,
        &["QUIT", "END", "CANCEL", "cancel.", "opt", "out", "opt out of lunch", "UNSUBSCRIBED"],
    )
    .await;
}

async fn the_operators_words_replace_the_usual_ones_and_stop_always_counts(backend: Backend) {
    let mut options = unpaced();
    options.wording.opt_out = "quit, End ,\u{201c}Good bye!\u{201d},,ARRÊT".parse().unwrap();
    let app = backend.app_with(options).await;
    app.conversation(None).await;
    assert_opts_out(&app, &["STOP", "stop!", "Quit", "END.", "good  bye", "arrêt", "arre\u{302}t"]).await;
    assert_relayed(&app, &["STOPALL", "UNSUBSCRIBE", "OPT OUT", "CANCEL", "good", "goodbye"]).await;
    let mut options = unpaced();
    options.wording.opt_out = "STOP".parse().unwrap();
    let app = backend.app_with(options).await;
    app.conversation(None).await;
    assert_opts_out(&app, &["STOP"]).await;
    assert_relayed(&app, &["STOPALL", "QUIT"]).await;
}

async fn stop_beside_a_layout_part_opts_out_and_beside_a_picture_does_not(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let url = "https://media.example/1";
    let part =
        |mime: &str| json!({"id": "1", "type": "media", "attributes": {"url": url, "mime_type": mime}});
    let post = async |more: Value| {
        let attributes = json!({"from": BOB, "to": TN, "body": "Stop.", "is_mms": true});
        let media = json!({"media": {"data": [{"id": "1", "type": "media"}]}});
        let data =
            json!({"id": fresh_id(), "type": "message", "attributes": attributes, "relationships": media});
        assert_eq!(app.post(json!({"data": data, "included": more})).await.status, 200);
    };
    post(json!([part("application/smil")])).await;
    assert_eq!(app.provider.asked(), 0);
    assert!(has_bob_opted_out(&app).await);
    // Only that a picture was lost must not lose the opt-out, too.
    post(json!([])).await;
    assert_eq!(app.provider.asked(), 0);
    assert!(has_bob_opted_out(&app).await);
    post(json!([part("image/jpeg")])).await;
    assert_eq!(app.provider.taken()[0].media_urls, [url]);
    assert!(!has_bob_opted_out(&app).await);
}

async fn unstop_opts_in_again_however_it_is_written(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for word in ["UNSTOP", "unstop.", "“Unstop”!", "ＵＮＳＴＯＰ", "UN\u{ad}STOP\u{200b}", "\u{a0}unstop\n"]
    {
        app.text(BOB, TN, "unsubscribe").await;
        app.text(BOB, TN, word).await;
        assert_eq!(app.provider.asked(), 0, "{word:?}");
        app.text(ALICE, TN, "welcome back").await;
        assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "welcome back".to_owned())], "{word:?}");
        app.provider.clear();
    }
    assert!(logged().contains("opted in again to this TN"), "{}", logged());
}

async fn start_from_somebody_who_has_opted_out_is_neither_relayed_nor_an_opt_in(backend: Backend) {
    let app = backend.app().await;
    app.conversation(Some(1)).await;
    app.text(BOB, TN, "STOP").await;
    app.text(EVE, TN, "STOP").await;
    for word in ["START", "start", "Start!", "\"START\"", "ＳＴＡＲＴ", "\u{200b}START"] {
        for person in [BOB, EVE] {
            let before = logged().matches("for UNSTOP, not for START").count();
            app.text(person, TN, word).await;
            assert_eq!(app.provider.asked(), 0, "{word:?}");
            assert_eq!(logged().matches("for UNSTOP, not for START").count(), before + 1, "{word:?}");
        }
    }
    app.text(ALICE, TN, "are you there?").await;
    assert_eq!(app.provider.asked(), 0);
    app.text(BOB, TN, "START the car").await;
    assert_eq!(app.provider.bodies(), ["START the car"]);
    app.provider.clear();
    app.clock.advance(chrono::TimeDelta::minutes(2));
    app.text(BOB, TN, "START").await;
    assert_eq!(app.provider.asked(), 0);
}

async fn start_from_anybody_else_is_a_text_like_any_other(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.text(BOB, TN, "STOP").await;
    app.text(BOB, TN, "UNSTOP").await;
    // That the other has opted out is another matter.
    app.text(BOB, TN, "START").await;
    app.text(ALICE, TN, "Start!").await;
    let taken = [(ALICE.to_owned(), "START".to_owned()), (BOB.to_owned(), "Start!".to_owned())];
    assert_eq!(app.provider.taken_by(), taken);
    app.provider.clear();
    app.text(BOB, TN, "STOP").await;
    app.text(ALICE, TN, "START").await;
    assert_eq!(app.provider.asked(), 0);
    assert!(!logged().contains("not for START"), "{}", logged());
    app.text(EVE, TN, "START").await;
    assert!(app.provider.bodies()[0].contains("An active session was not found"));
}
