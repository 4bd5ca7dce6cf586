//! Reads the pictures of a text, in the places where a post may have them (docs/flowroute.md#what-is-accepted).

use super::{
    json::{Fields, Json},
    link::{is_link, public_link},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// The fields that may have a picture's address.
const ADDRESS: [&str; 3] = ["url", "media_url", "href"];
/// The fields that only an object that describes a part has.
const DESCRIPTION: [&str; 6] = ["url", "media_url", "href", "mime_type", "file_name", "content_type"];

/// How deep lists may be nested in objects: `{"data": [{"id": …}]}` has two levels.
const DEPTH: u8 = 3;

/// The pictures of a text.
#[derive(Debug, Default)]
pub(super) struct Media {
    /// The addresses, in the order of the post.
    pub(super) urls: Vec<String>,
    /// How many parts are pictures with an address. An address may be there twice.
    pictures: usize,
    /// Whether a part has no address that Flowroute may be asked to fetch.
    is_unreadable: bool,
    /// The ids of layout parts, which are not pictures.
    layouts: Vec<Option<String>>,
    /// The ids of parts that are only named here.
    named: BTreeSet<String>,
    is_mms: bool,
}

impl Media {
    /// Reads the media of a post. `objects` are the post and the objects in it that may have media; the last has the text.
    pub(super) fn read(objects: &[&Fields<'_>]) -> Self {
        let mut media = Self::default();
        for object in objects {
            media.add_parts(object.get("included"));
            let relationships = object.get("relationships").and_then(Json::fields);
            media.add_parts(relationships.and_then(|relationships| relationships.get("media")));
        }
        let Some(attributes) = objects.last() else { return media };
        for name in ["media_urls", "media_url", "media"] {
            media.add_parts(attributes.get(name));
        }
        let is_mms = attributes.get("is_mms").map(|flag| match flag.value() {
            Value::String(text) => text.trim().to_lowercase(),
            flag => flag.to_string(),
        });
        media.is_mms = is_mms.is_some_and(|flag| ["true", "1"].contains(&flag.as_str()));
        media
    }

    /// Whether the post announces more pictures than it has addresses of. The ids of a picture need not be the same.
    pub(super) fn is_missing(&self) -> bool {
        let is_layout = |id: &&String| self.layouts.iter().flatten().any(|layout| layout == *id);
        let named = self.named.iter().filter(|id| !is_layout(id)).count();
        let is_flagged = self.is_mms && self.pictures == 0 && self.layouts.is_empty();
        self.is_unreadable || is_flagged || named > self.pictures
    }

    fn add_parts(&mut self, parts: Option<Json<'_>>) {
        parts.into_iter().for_each(|parts| self.add(parts, DEPTH));
    }

    /// Adds a part: an address, an id, or an object that describes it. Adds each part of a list, or of an object that
    /// stands for a list.
    fn add(&mut self, part: Json<'_>, depth: u8) {
        if let Some(parts) = part.elements() {
            let nested = |part| {
                if depth > 0 {
                    self.add(part, depth - 1)
                }
            };
            return parts.into_iter().for_each(nested);
        }
        let Some(fields) = part.fields() else {
            // A number that is not in a list counts something.
            let text = if depth < DEPTH { part.text_or_number() } else { part.string() };
            match text.as_deref().map(str::trim) {
                None | Some("") => self.is_unreadable |= depth < DEPTH,
                Some(text) => match public_link(text) {
                    Some(url) => self.add_url(url),
                    None if is_link(text) => self.is_unreadable = true,
                    None => drop(self.named.insert(text.to_owned())),
                },
            }
            return;
        };
        let kind = fields.get("type").and_then(Json::string);
        if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("media")) {
            return;
        }
        let is_described = fields.has("attributes") || DESCRIPTION.iter().any(|name| fields.has(name));
        match fields.get("id").and_then(Json::text_or_number) {
            id if is_described => self.add_described(&fields, id),
            Some(id) => drop(self.named.insert(id)),
            None if depth > 0 => fields.into_objects().for_each(|part| self.add(part, depth - 1)),
            None => {}
        }
    }

    fn add_described(&mut self, part: &Fields<'_>, id: Option<String>) {
        let inner = part.get("attributes").and_then(Json::fields);
        let places = || [inner.as_ref(), Some(part)].into_iter().flatten();
        if places().any(is_layout) {
            self.layouts.push(id);
        } else if let Some(url) = places().find_map(address_in) {
            self.add_url(url);
        } else {
            self.is_unreadable = true;
        }
    }

    fn add_url(&mut self, url: String) {
        self.pictures += 1;
        if !self.urls.contains(&url) {
            self.urls.push(url);
        }
    }
}

/// Whether this describes the layout of a message, which phones add to its pictures.
fn is_layout(part: &Fields<'_>) -> bool {
    let text = |name: &str| part.get(name).and_then(Json::string).map(|text| text.trim().to_lowercase());
    let mime = ["mime_type", "content_type"].into_iter().find_map(text);
    match mime.filter(|mime| !mime.is_empty()) {
        Some(mime) => mime.contains("smil"),
        None => text("file_name").is_some_and(|name| name.ends_with(".smil") || name.ends_with(".smi")),
    }
}

fn address_in(part: &Fields<'_>) -> Option<String> {
    let named = |name: &&str| {
        let value = part.get(name)?;
        let inner = value.fields().and_then(|fields| fields.get("href").or(fields.get("url")));
        public_link(&inner.unwrap_or(value).string()?)
    };
    ADDRESS.iter().find_map(named)
}
