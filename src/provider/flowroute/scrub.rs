//! Removes private data from the provider's error texts.

use crate::{domain::Content, limits};
use std::cmp::Reverse;

/// Runs of at least this many digits may be phone numbers; shorter ones, such as a size or a code, stay.
const MIN_DIGITS: usize = 7;

/// The error text without the message's text and media and without phone numbers, cut to 200 characters.
///
/// Digits that are separated as in `(206) 555-1212` count as one run.
/// All other addresses are removed too: ours has the webhook's token.
pub(super) fn scrub(words: &str, content: &Content) -> String {
    let media = content.media_urls.iter().map(|url| (url.trim(), "[media]"));
    let mut private: Vec<_> =
        media.chain([(content.body.trim(), "[text]")]).filter(|(part, _)| !part.is_empty()).collect();
    // Longest first: the text may contain the address of a medium, or be a part of it.
    private.sort_by_key(|(part, _)| Reverse(part.len()));
    let words = private.iter().fold(words.to_owned(), |words, (part, name)| words.replace(part, name));
    let words = without_addresses(&words);
    let mut clean = String::new();
    let mut run = String::new();
    for c in words.chars().chain(['\0']) {
        if c.is_ascii_digit() || (!run.is_empty() && matches!(c, ' ' | '-' | '.' | '(' | ')' | '+')) {
            run.push(c);
            continue;
        }
        let digits = run.chars().filter(char::is_ascii_digit).count();
        if digits < MIN_DIGITS {
            clean.push_str(&run);
        } else {
            clean.push_str("[number]");
            let kept = run.trim_end_matches(|c: char| !c.is_ascii_digit()).len();
            clean.push_str(&run[kept..]);
        }
        run.clear();
        if !c.is_control() {
            clean.push(c);
        }
    }
    clean.chars().take(limits::STORED_REASON).collect()
}

fn without_addresses(words: &str) -> String {
    let is_address = |word: &str| word.contains("://") || word.to_ascii_lowercase().contains("%3a%2f%2f");
    let scrubbed = |word| if is_address(word) { "[address]" } else { word };
    words.split(' ').map(scrubbed).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phone_numbers_are_taken_out_and_short_numbers_stay() {
        assert_eq!(
            scrub(
                "12065551212 is not a mobile number (code 1110), nor is (206) 555-1212.",
                &Content::default()
            ),
            "[number] is not a mobile number (code 1110), nor is ([number]."
        );
    }

    #[test]
    fn the_text_itself_is_taken_out() {
        assert_eq!(
            scrub("body 'meet me at 5' is not allowed", &"meet me at 5".into()),
            "body '[text]' is not allowed"
        );
    }

    #[test]
    fn addresses_are_taken_out() {
        let words =
            "dlr_callback 'https://proxy.example/?m=1&token=secret' or https%3A%2F%2Fproxy.example is bad";
        assert_eq!(scrub(words, &Content::default()), "dlr_callback [address] or [address] is bad");
    }

    #[test]
    fn long_reasons_are_cut_to_200_characters() {
        assert_eq!(scrub(&"ü".repeat(500), &Content::default()).chars().count(), 200);
    }
}
