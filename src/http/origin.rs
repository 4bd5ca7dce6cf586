//! Tells calls of this machine's own programs and pages from those that a page of another site makes a browser send.

use axum::http::{HeaderMap, Uri, header, uri::Authority};
use std::net::Ipv6Addr;
use url::Host;

/// Whether a request names this machine, and comes from none or one of its own pages.
///
/// A page of another site can reach a loopback address: its posts have its `Origin`, and after it has changed the address of
/// its own name (DNS rebinding) its requests have that name as `Host`. A program may send neither.
pub(super) fn is_own(uri: &Uri, headers: &HeaderMap) -> bool {
    let hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().ok());
    let origins = headers.get_all(header::ORIGIN).iter().map(|origin| origin.to_str().ok());
    uri.authority().is_none_or(|target| is_own_authority(target.as_str()))
        && hosts.into_iter().all(|host| host.is_some_and(is_own_authority))
        && origins.into_iter().all(|origin| origin.is_some_and(is_own_origin))
}

fn is_own_origin(origin: &str) -> bool {
    let scheme_and_host = origin.trim().split_once("://");
    scheme_and_host.is_some_and(|(scheme, host)| {
        ["http", "https"].iter().any(|own| scheme.eq_ignore_ascii_case(own)) && is_own_authority(host)
    })
}

/// Whether this host, with or without a port, is a loopback name or address, or the unspecified address, which leads there.
fn is_own_authority(authority: &str) -> bool {
    let Ok(authority) = authority.trim().parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    match Host::parse(authority.host()) {
        Ok(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Ok(Host::Ipv6(address)) => is_own_ipv6(address),
        // The parser writes names in lower case.
        Ok(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(&name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Err(_) => false,
    }
}

fn is_own_ipv6(address: Ipv6Addr) -> bool {
    let mapped = address.to_ipv4_mapped().is_some_and(|address| address.is_loopback());
    mapped || address.is_loopback() || address.is_unspecified()
}
