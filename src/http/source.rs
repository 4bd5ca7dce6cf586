//! Where a call comes from.

use axum::http::{HeaderMap, request::Parts};
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// The address of the peer of a request's connection, set by the runtime that received it; behind API Gateway that of the
/// gateway's caller.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The prefix length of the largest network: two that are larger could have all addresses together.
const LARGEST: u8 = 8;

/// IP addresses and networks.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<IpNet>);

/// Why a list of networks is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetworks {
    /// A part of the list is neither.
    #[error("is not addresses and networks separated by commas, such as 192.0.2.7, 198.51.100.0/24")]
    Malformed,
    /// A network has all addresses, or a large part of them.
    #[error(
        "has a network of all addresses or of more than a /{LARGEST}, which protects from nobody; name smaller ones, or remove it"
    )]
    Everybody,
}

impl FromStr for Networks {
    type Err = InvalidNetworks;

    fn from_str(list: &str) -> Result<Self, InvalidNetworks> {
        let network = |text: &str| match text.parse::<IpNet>() {
            Ok(network) => Some(network.trunc()),
            Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
        };
        let networks: Option<Vec<IpNet>> = list.split(',').map(|text| network(text.trim())).collect();
        let networks = networks.ok_or(InvalidNetworks::Malformed)?;
        match networks.iter().any(|network| network.prefix_len() < LARGEST) {
            true => Err(InvalidNetworks::Everybody),
            false => Ok(Self(networks)),
        }
    }
}

impl Networks {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the address is one of them or in one.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The address that a request comes from: its peer, unless that is a proxy that is named. Then it is the last one in
/// `X-Forwarded-For` that is no named proxy; a caller can make up those before it.
pub(super) fn address(head: &Parts, proxies: &Networks) -> Option<IpAddr> {
    let Peer(peer) = head.extensions.get()?;
    if !proxies.contains(*peer) {
        return Some(peer.to_canonical());
    }
    let forwarded = forwarded(&head.headers);
    let caller = forwarded.into_iter().rev().find(|address| address.is_none_or(|it| !proxies.contains(it)));
    caller.unwrap_or(Some(*peer)).map(|address| address.to_canonical())
}

/// The addresses in `X-Forwarded-For`, some of which have a port. `None`: no address.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = headers.get_all("x-forwarded-for").iter();
    let read = |text: &str| {
        let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
        text.parse().ok().or_else(with_port)
    };
    values
        .flat_map(|value| value.to_str().unwrap_or("unreadable").split(','))
        .map(|text| read(text.trim()))
        .collect()
}
