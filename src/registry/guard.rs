//! Which hosts and addresses pullgate may connect to: the image name, the token realm and every redirect are chosen by
//! others, and pullgate stands where nodes may not.
//!
//! Pure rules; [`crate::registry::http`] applies them to the address that is really connected to (after DNS).

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::policy;

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 127.0.0.0/8, `::1`.
    Loopback,
    /// 169.254.0.0/16, `fe80::/10`: cloud metadata lives here.
    LinkLocal,
    /// A metadata address outside the link-local range.
    Metadata,
    /// Multicast or broadcast.
    Multicast,
    /// 0.0.0.0/8, `::`.
    Unspecified,
    /// `guard.denyAddresses` lists it.
    Denied,
}

/// The ranges, the operator's additions and exceptions to them, and the registries that no request may go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    rules: policy::Guard,
}

/// What clouds serve to their machines outside 169.254.0.0/16: AWS over IPv6 (metadata, pod identity, DNS, time),
/// Google over IPv6, Scaleway over IPv6, Alibaba, Azure's wire server, Oracle's classic cloud.
const METADATA: [&str; 6] = [
    "fd00:ec2::/32",
    "fd20:ce::254/128",
    "fd00:42::42/128",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
];

/// Names that mean a metadata service to whoever looks them up inside a cloud.
const METADATA_NAMES: [&str; 7] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "metadata.tencentyun.com",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Where those names lead.
const METADATA_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

// === impl Guard ===

impl Guard {
    /// The rules of a policy.
    pub fn new(rules: &policy::Guard) -> Self {
        Self { rules: rules.clone() }
    }

    /// Whether a connection to `address` may be made. Private ranges are allowed: registries live there. An address with
    /// an IPv4 address inside is judged as both.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        if self.allowed(address) {
            return Ok(());
        }
        let inner = embedded_v4(address).into_iter().flatten().map(IpAddr::V4);
        std::iter::once(address).chain(inner).filter(|reading| !self.allowed(*reading)).try_for_each(|reading| {
            if self.rules.deny_addresses.iter().any(|net| net.contains(&reading)) {
                return Err(Refused::Denied);
            }
            refused(reading).map_or(Ok(()), Err)
        })
    }

    /// The same for a name that somebody else looks up (an HTTP proxy): those that are known to lead into a refused
    /// range.
    pub fn check_name(&self, name: &str) -> Result<(), Refused> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if name == "localhost" || name.ends_with(".localhost") {
            return self.check(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        if METADATA_NAMES.contains(&name.as_str()) {
            return self.check(IpAddr::V4(METADATA_ADDRESS));
        }
        Ok(())
    }

    /// Whether the operator denies a registry, as `host[:port]`: it is no mirror, token server or target of a redirect
    /// either. `default_port` is meant where `host` has none. The allow-list is about the names of images only: what an
    /// allowed registry points to is its own affair.
    pub fn denies(&self, host: &str, default_port: u16) -> bool {
        self.rules.registry_denied(host, default_port)
    }

    fn allowed(&self, address: IpAddr) -> bool {
        self.rules.allow_addresses.iter().any(|net| net.contains(&address))
    }
}

fn refused(address: IpAddr) -> Option<Refused> {
    let metadata = METADATA.iter().any(|text| text.parse::<IpNet>().is_ok_and(|net| net.contains(&address)));
    match address {
        _ if metadata => Some(Refused::Metadata),
        _ if address.is_loopback() => Some(Refused::Loopback),
        _ if address.is_multicast() => Some(Refused::Multicast),
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some(Refused::Unspecified),
        IpAddr::V4(v4) if v4.is_broadcast() => Some(Refused::Multicast),
        IpAddr::V4(v4) if v4.is_link_local() => Some(Refused::LinkLocal),
        IpAddr::V6(v6) if v6.is_unspecified() => Some(Refused::Unspecified),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(Refused::LinkLocal),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// The IPv4 addresses that a packet to this IPv6 address may end at: IPv4-mapped and -compatible (RFC 4291),
/// -translated (RFC 2765), NAT64 (RFC 6052 and 8215), 6to4 (RFC 3056), ISATAP (RFC 5214), Teredo (RFC 4380: server and
/// client).
fn embedded_v4(address: IpAddr) -> [Option<Ipv4Addr>; 2] {
    let IpAddr::V6(v6) = address else { return [None; 2] };
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => [v4(high, low), None],
        [0x2001, 0, server_high, server_low, _, _, high, low] => [v4(server_high, server_low), v4(!high, !low)],
        _ => [None; 2],
    }
}

// === impl Refused ===

impl Refused {
    /// One sentence part about `address`.
    pub fn sentence(self, address: &str) -> String {
        let range = match self {
            Self::Denied => return format!("{address} is listed under guard.denyAddresses"),
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Metadata => "cloud metadata",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
        };
        format!("{address} is a {range} address; guard.allowAddresses does not list it")
    }
}

#[cfg(test)]
mod tests;
