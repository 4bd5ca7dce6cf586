//! Unpacks and decodes the body of a post.

use super::{error::ApiError, reason::Reason};
use axum::http::{HeaderMap, header};
use encoding_rs::{Encoding, UTF_8};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::io::Read;

/// The names of ASCII. What is not ASCII in such a body is most likely UTF-8.
const ASCII: [&str; 3] = ["ascii", "us-ascii", "ansi_x3.4-1968"];

/// The text of a body with these headers. Unpacked it has at most `limit` bytes.
///
/// What cannot be decoded becomes U+FFFD, with a warning: most of a text is better than nothing of it.
pub(super) fn text(headers: &HeaderMap, body: Vec<u8>, limit: usize) -> Result<String, ApiError> {
    let body = unpack(headers, body, limit)?;
    let (text, used, is_lossy) = declared(headers).decode(&body);
    if is_lossy {
        tracing::warn!(charset = used.name(), "the post has bytes that are not of its charset");
    }
    Ok(text.into_owned())
}

/// The declared encoding, or UTF-8.
fn declared(headers: &HeaderMap) -> &'static Encoding {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parameters =
        content_type.unwrap_or_default().split(';').skip(1).filter_map(|p| p.split_once('='));
    let charset = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let Some((_, label)) = charset else { return UTF_8 };
    let label = label.trim().trim_matches(['"', '\'']).trim().to_ascii_lowercase();
    if label.is_empty() || ASCII.contains(&label.as_str()) {
        return UTF_8;
    }
    Encoding::for_label_no_replacement(label.as_bytes()).unwrap_or_else(|| {
        // A name of a charset is short and has few digits; anything else may be a text or a number.
        let is_name = label.len() <= 20 && label.bytes().filter(u8::is_ascii_digit).count() <= 5;
        let charset = Some(label.as_str()).filter(|_| is_name);
        tracing::warn!(charset, "unknown charset; the post is read as UTF-8");
        UTF_8
    })
}

/// Undoes the content encodings, the last one first.
fn unpack(headers: &HeaderMap, mut body: Vec<u8>, limit: usize) -> Result<Vec<u8>, ApiError> {
    let values = headers.get_all(header::CONTENT_ENCODING).into_iter();
    let codings: Vec<String> = values
        .flat_map(|value| value.to_str().unwrap_or("unreadable").split(','))
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity")
        .collect();
    for coding in codings.iter().rev() {
        let packed = body.as_slice();
        let unpacked = match coding.as_str() {
            "gzip" | "x-gzip" => read_all(MultiGzDecoder::new(packed), limit),
            "deflate" if is_zlib(packed) => read_all(ZlibDecoder::new(packed), limit),
            "deflate" => read_all(DeflateDecoder::new(packed), limit),
            _ => return Err(ApiError::unsupported_content_encoding()),
        };
        match unpacked {
            Ok(unpacked) if unpacked.len() > limit => return Err(ApiError::body_too_large(limit)),
            Ok(unpacked) => body = unpacked,
            // A proxy has unpacked the body and left the header.
            Err(_) if std::str::from_utf8(packed).is_ok() => {}
            Err(_) => {
                let message = "the body cannot be decompressed; send it again";
                return Err(ApiError::new(Reason::IncompleteBody, message));
            }
        }
    }
    Ok(body)
}

/// Whether this begins as a zlib stream does (RFC 1950). Some programs send the deflate stream without it.
fn is_zlib(packed: &[u8]) -> bool {
    matches!(packed, [cmf, flags, ..] if cmf & 15 == 8 && u16::from_be_bytes([*cmf, *flags]).is_multiple_of(31))
}

/// Reads one byte more than `limit` at most, so that a small body cannot become a large one.
fn read_all(unpacked: impl Read, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    unpacked.take(limit as u64 + 1).read_to_end(&mut body)?;
    Ok(body)
}
