//! The versions of Flowroute's API, and their requests.

use crate::domain::{Content, Outbound};
use serde_json::{Value, json};
use std::{borrow::Cow, str::FromStr};
use url::Url;

/// The version of Flowroute's API that messages are sent with (docs/flowroute.md#sending).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// The flat form of 2016, without media: their addresses are appended to the text, one per line.
    V2,
    /// JSON:API, the default of new accounts.
    V2_1,
    /// As `V2_1`, with prices in the response.
    V2_2,
}

/// An unknown version of the API.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("expected v2.1, v2.2 or v2")]
pub struct UnknownApiVersion;

impl FromStr for ApiVersion {
    type Err = UnknownApiVersion;

    fn from_str(name: &str) -> Result<Self, UnknownApiVersion> {
        match name {
            "v2" => Ok(Self::V2),
            "v2.1" => Ok(Self::V2_1),
            "v2.2" => Ok(Self::V2_2),
            _ => Err(UnknownApiVersion),
        }
    }
}

impl ApiVersion {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::V2 => "v2/messages",
            Self::V2_1 => "v2.1/messages",
            Self::V2_2 => "v2.2/messages",
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::V2 => "application/json",
            Self::V2_1 | Self::V2_2 => "application/vnd.api+json",
        }
    }

    /// The text as it is sent: the old version has the addresses of the media in it.
    pub(super) fn text(self, content: &Content) -> Cow<'_, str> {
        if self != Self::V2 {
            return Cow::Borrowed(&content.body);
        }
        let lines = std::iter::once(&content.body).chain(&content.media_urls).filter(|line| !line.is_empty());
        Cow::Owned(lines.map(String::as_str).collect::<Vec<_>>().join("\n"))
    }

    /// The request's body.
    pub(super) fn body(self, message: &Outbound, receipts_to: Option<Url>) -> Value {
        let text = &message.text;
        let (to, from) = (text.to.digits(), text.from.digits());
        let media = &text.content.media_urls;
        if self == Self::V2 {
            let body = self.text(&text.content);
            // The documentation says `body`, Flowroute's own v2 clients send `content`: docs/flowroute.md#open-questions.
            return json!({"to": to, "from": from, "body": body, "content": body});
        }
        let mut attributes = json!({"to": to, "from": from});
        if !text.content.body.is_empty() {
            attributes["body"] = text.content.body.as_str().into();
        }
        if !media.is_empty() {
            attributes["is_mms"] = true.into();
            attributes["media_urls"] = media.as_slice().into();
        }
        if let Some(url) = receipts_to {
            attributes["dlr_callback"] = url.as_str().into();
        }
        json!({"data": {"type": "message", "attributes": attributes}})
    }
}
