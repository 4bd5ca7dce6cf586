//! The words by which people opt out of a TN and in again (docs/flowroute.md#opt-out).

use crate::domain::{Content, is_invisible};
use std::{collections::BTreeSet, str::FromStr};
use unicode_normalization::UnicodeNormalization;

/// Flowroute's own word to opt out. It always counts.
const STOP: &str = "STOP";
/// Flowroute's own word to opt in again.
const UNSTOP: &str = "UNSTOP";
/// The word by which other carriers let people opt in again, and Flowroute does not.
const START: &str = "START";

/// What a text that is nothing but one of these words asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptWord {
    /// To opt out, or in again.
    Opt {
        /// Whether to opt out.
        out: bool,
    },
    /// To opt in again, if the sender has opted out. From anybody else it is a word like any other.
    Start,
}

/// The words that opt out, folded.
#[derive(Debug, Clone)]
pub struct OptOutWords(BTreeSet<String>);

/// Why a list of words is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has a word without a letter or digit, or UNSTOP or START, which cannot opt out")]
pub struct InvalidWords;

impl OptOutWords {
    /// The words besides `STOP` that opt out unless others are set. `QUIT`, `END` and `CANCEL` are not among them: two
    /// people who text each other use them.
    pub const DEFAULT: &str = "STOPALL,STOP ALL,UNSUBSCRIBE,REVOKE,OPTOUT,OPT OUT";

    /// Reads a text. One with a picture is never just a word.
    pub(super) fn read(&self, content: &Content) -> Option<OptWord> {
        if !content.media_urls.is_empty() {
            return None;
        }
        match fold(&content.body).as_str() {
            UNSTOP => Some(OptWord::Opt { out: false }),
            START => Some(OptWord::Start),
            word => self.0.contains(word).then_some(OptWord::Opt { out: true }),
        }
    }
}

impl Default for OptOutWords {
    fn default() -> Self {
        Self::DEFAULT.parse().unwrap_or_else(|_| Self(BTreeSet::from([STOP.into()])))
    }
}

impl FromStr for OptOutWords {
    type Err = InvalidWords;

    /// Reads words that are separated by commas. `STOP` is added.
    fn from_str(list: &str) -> Result<Self, InvalidWords> {
        let words = list.split(',').filter(|word| !word.trim().is_empty()).map(fold);
        let words: BTreeSet<String> = words.chain([STOP.into()]).collect();
        let is_valid =
            |word: &String| word.contains(char::is_alphanumeric) && word != UNSTOP && word != START;
        if words.iter().all(is_valid) { Ok(Self(words)) } else { Err(InvalidWords) }
    }
}

/// The words of a text in capitals and in their plain letters, without invisible characters, and without quotes and
/// punctuation around them.
fn fold(text: &str) -> String {
    // Its compatibility form is a blank with an accent.
    let quoted = text.chars().filter(|c| !is_invisible(*c)).map(|c| if c == '´' { '\'' } else { c });
    let plain = quoted.nfkc().map(|c| if is_dash(c) { ' ' } else { c }).collect::<String>().to_uppercase();
    let words = plain.trim_matches(|c: char| c.is_whitespace() || is_quote(c) || is_punctuation(c));
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '«' | '»' | '\u{2018}'..='\u{201F}' | '\u{2032}'..='\u{2037}' | '‹' | '›')
        || matches!(c, '「'..='』' | '〝'..='〟' | '\u{275B}'..='\u{275E}' | '\u{2E42}')
}

fn is_punctuation(c: char) -> bool {
    matches!(c, '.' | ',' | '!' | '?' | ';' | ':' | '…' | '·' | '¡' | '¿' | '‽')
        || matches!(c, '。' | '、' | '،' | '؛' | '؟' | '۔' | '։' | '\u{964}' | '\u{965}')
}
