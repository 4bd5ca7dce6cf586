//! How large a message may be (docs/flowroute.md#limits).

use super::version::ApiVersion;
use crate::{
    domain::Outbound,
    provider::{Quote, SendError},
};

/// The most parts of a text: the parts of a long text are numbered in one byte.
const MOST_PARTS: usize = 255;
/// The characters of a part, if all of them are ASCII, and the UTF-16 units if not.
const ASCII_PART: usize = 140;
const UNICODE_PART: usize = 70;
/// The most pictures. Flowroute takes 750 kB of them.
const MOST_PICTURES: usize = 100;
/// The status of a refusal that did not reach Flowroute: "content too large".
const TOO_LARGE: u16 = 413;

/// Refuses a message that is too large. It must neither be cut nor cost what hundreds of texts cost.
pub(super) fn check(version: ApiVersion, message: &Outbound) -> Result<(), SendError> {
    let pictures = message.text.content.media_urls.len();
    let body = version.text(&message.text.content);
    let (length, most, unit) = match body.is_ascii() {
        true => (body.len(), MOST_PARTS * ASCII_PART, "characters"),
        false => {
            let length = body.encode_utf16().count();
            (length, MOST_PARTS * UNICODE_PART, "characters, not all of them ASCII,")
        }
    };
    let detail = if length > most {
        format!("the text has {length} {unit} and may have {most}; it was not sent to Flowroute")
    } else if pictures > MOST_PICTURES {
        format!("the text has {pictures} pictures and may have {MOST_PICTURES}; it was not sent to Flowroute")
    } else {
        return Ok(());
    };
    Err(SendError::Refused { status: TOO_LARGE, opted_out: false, detail, quote: Quote::default() })
}
