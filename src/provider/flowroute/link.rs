//! Links to pictures: which of them Flowroute is asked to fetch (docs/flowroute.md#what-is-accepted); and which hosts it can
//! reach.

use crate::domain::is_invisible;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::net::{Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Characters that an address cannot have. Those that are not ASCII are encoded, too.
const NOT_IN_ADDRESSES: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');
/// Names that are only known within a network.
const PRIVATE_NAMES: [&str; 9] =
    ["localhost", "local", "internal", "localdomain", "intranet", "private", "lan", "home", "home.arpa"];

/// A link to a public host, with blanks and the like percent-encoded.
pub(super) fn public_link(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
    let link = utf8_percent_encode(text, NOT_IN_ADDRESSES).to_string();
    let (scheme, rest) = link.split_once("://")?;
    let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    // A host that is written in another way, or follows a user's name, may be another host for Flowroute.
    let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let is_plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    let url = Url::parse(&link).ok().filter(|_| is_web && is_plain && !host.is_empty())?;
    is_public(&url).then_some(link)
}

/// Whether the host of an address can be one on the internet.
pub(crate) fn is_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_public_name(name),
        Some(Host::Ipv4(ip)) => is_public_v4(ip),
        Some(Host::Ipv6(ip)) => is_public_v6(ip),
        None => false,
    }
}

/// Whether a text is a link of some kind, and not the id of a picture.
pub(super) fn is_link(text: &str) -> bool {
    text.contains([':', '/', '\\'])
}

fn is_public_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let is_in =
        |zone: &&str| name.strip_suffix(*zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    name.contains('.') && !PRIVATE_NAMES.iter().any(is_in)
}

/// Whether an address can be that of a host on the internet.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let reserved = matches!(
        ip.octets(),
        [0, ..]
            | [100, 64..=127, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [224..=255, ..]
    );
    !(reserved || ip.is_private() || ip.is_loopback() || ip.is_link_local())
}

/// Only addresses that are handed out to hosts, and of these none that stands for an IPv4 address.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // Teredo and other protocols; documentation; 6to4; documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}
