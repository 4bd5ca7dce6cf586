//! Two auto-responders.

use super::limited;
use chrono::TimeDelta;
use std::collections::BTreeMap;
use test_support::{ALICE, App, BOB, Backend, NOT_DELIVERED, TN, on_each_backend};

on_each_backend! {
    two_participants_who_answer_each_text_at_once_send_no_more_than_the_limit
}

const PER_MINUTE: usize = 5;
const PER_DAY: usize = 12;
const MINUTES: usize = 150;

/// Answers each message of a participant at once, notices too, until nobody gets any more; what each got, and how many
/// notices.
async fn answer_all(app: &App) -> (BTreeMap<String, usize>, usize) {
    let (mut texts, mut notices) = (BTreeMap::new(), 0);
    loop {
        let taken = app.provider.taken();
        app.provider.clear();
        if taken.is_empty() {
            return (texts, notices);
        }
        for text in taken {
            match text.body == NOT_DELIVERED {
                true => notices += 1,
                false => *texts.entry(text.to.clone()).or_default() += 1,
            }
            assert!(texts.values().all(|texts: &usize| *texts <= PER_MINUTE), "{texts:?}");
            app.text(&text.to, TN, "I am on holiday").await;
        }
    }
}

async fn two_participants_who_answer_each_text_at_once_send_no_more_than_the_limit(backend: Backend) {
    let (app, _) = limited(backend, PER_MINUTE as u32, PER_DAY as u32).await;
    app.text(ALICE, TN, "hello").await;
    let (mut all, mut notices) = (BTreeMap::<String, usize>::new(), 0);
    for minute in 0..MINUTES {
        let (texts, told) = answer_all(&app).await;
        for (to, texts) in texts {
            assert!(texts <= PER_MINUTE, "{texts} in minute {minute}");
            *all.entry(to).or_default() += texts;
        }
        notices += told;
        app.clock.advance(TimeDelta::minutes(1));
        app.maintain().await;
    }
    let texts = |to: &str| all.get(to).copied().unwrap_or_default();
    let [alice, bob] = [texts(ALICE), texts(BOB)];
    assert!(alice <= PER_DAY && bob <= PER_DAY && alice.max(bob) == PER_DAY, "{all:?}");
    // One an hour and sender at most, in two and a half hours.
    assert!((1..=6).contains(&notices), "{notices}");
}
