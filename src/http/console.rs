//! The console: a page for people, with its style, scripts and icon. They are part of the program and hold no data: the
//! page calls the API with the key that its user types.

use super::{error::ApiError, page::PathParameter};
use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::hash::{DefaultHasher, Hash, Hasher};

struct File {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

macro_rules! file {
    ($name:literal, $media_type:literal) => {
        File { name: $name, media_type: $media_type, content: include_bytes!(concat!("console/", $name)) }
    };
}

static PAGE: File = file!("index.html", "text/html; charset=utf-8");

/// What the page loads. Its addresses are relative, so that it works below a base path.
static FILES: [File; 11] = [
    file!("style.css", "text/css; charset=utf-8"),
    file!("icon.png", "image/png"),
    file!("app.js", "text/javascript; charset=utf-8"),
    file!("api.js", "text/javascript; charset=utf-8"),
    file!("dom.js", "text/javascript; charset=utf-8"),
    file!("pool.js", "text/javascript; charset=utf-8"),
    file!("sessions.js", "text/javascript; charset=utf-8"),
    file!("session.js", "text/javascript; charset=utf-8"),
    file!("phones.js", "text/javascript; charset=utf-8"),
    file!("outbox.js", "text/javascript; charset=utf-8"),
    file!("opt_outs.js", "text/javascript; charset=utf-8"),
];

/// The page may load and call its own server only, and nobody may frame it. A text can become no script and no element:
/// inline scripts are off, and with trusted types the browser refuses every HTML string.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

impl File {
    /// The file, or 304 if the browser has it already. It asks each time, so that it has the file of this release.
    fn respond(&self, request: &HeaderMap) -> Response {
        let mut hasher = DefaultHasher::new();
        self.content.hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());
        let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
        let is_known = known.flat_map(|tags| tags.split(',')).any(|known| {
            let known = known.trim();
            // A proxy that compresses the file makes the tag a weak one.
            known == "*" || known.trim_start_matches("W/") == tag
        });
        let headers = [
            (header::ETAG, tag.as_str()),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        if is_known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(header::CONTENT_TYPE, self.media_type)], self.content).into_response()
    }
}

pub(super) async fn page(headers: HeaderMap) -> Response {
    PAGE.respond(&headers)
}

pub(super) async fn file(
    PathParameter(name): PathParameter<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let file = FILES.iter().find(|file| file.name == name).ok_or_else(ApiError::not_found)?;
    Ok(file.respond(&headers))
}
