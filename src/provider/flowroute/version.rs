//! The versions of Flowroute's API, and their requests.

use crate::domain::{Content, Outbound};
use serde::Serialize;
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
    pub(super) fn body(self, message: &Outbound, receipts_to: Option<Url>) -> serde_json::Result<String> {
        let text = &message.text;
        let (to, from) = (text.to.digits(), text.from.digits());
        if self == Self::V2 {
            let body = self.text(&text.content);
            // The documentation says `body`, Flowroute's own v2 clients send `content`: docs/flowroute.md#open-questions.
            return serde_json::to_string(&Flat { body: &body, content: &body, from: &from, to: &to });
        }
        let media_urls = text.content.media_urls.as_slice();
        let attributes = Attributes {
            body: &text.content.body,
            dlr_callback: receipts_to.as_ref().map(Url::as_str),
            from: &from,
            is_mms: (!media_urls.is_empty()).then_some(true),
            media_urls,
            to: &to,
        };
        serde_json::to_string(&Document { data: Data { attributes, kind: "message" } })
    }
}

/// A message of version 2.
#[derive(Serialize)]
struct Flat<'a> {
    body: &'a str,
    content: &'a str,
    from: &'a str,
    to: &'a str,
}

/// A message of the later versions.
#[derive(Serialize)]
struct Document<'a> {
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    attributes: Attributes<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Attributes<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dlr_callback: Option<&'a str>,
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_mms: Option<bool>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    media_urls: &'a [String],
    to: &'a str,
}
