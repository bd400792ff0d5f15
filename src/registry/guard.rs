//! Which addresses pullgate may connect to: the image name, the token realm and every redirect are chosen by
//! others, and pullgate stands where nodes may not.
//!
//! Pure rules; [`crate::registry::http`] applies them to the address that is really connected to (after DNS).

use std::net::IpAddr;

use ipnet::IpNet;

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
}

/// The ranges and the operator's exceptions to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// `guard.allowAddresses`.
    pub allow: Vec<IpNet>,
}

/// Metadata services outside 169.254.0.0/16: AWS over IPv6, Alibaba, Azure's wire server.
const METADATA: [&str; 3] = ["fd00:ec2::254", "100.100.100.200", "168.63.129.16"];

// === impl Guard ===

impl Guard {
    /// Whether a connection to `address` may be made. Private ranges are allowed: registries live there.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let address = embedded_v4(address);
        if self.allow.iter().any(|net| net.contains(&address)) {
            return Ok(());
        }
        let metadata = METADATA.iter().any(|text| text.parse::<IpAddr>().is_ok_and(|known| known == address));
        let refused = match address {
            _ if metadata => Refused::Metadata,
            _ if address.is_loopback() => Refused::Loopback,
            _ if address.is_multicast() => Refused::Multicast,
            IpAddr::V4(v4) if v4.octets()[0] == 0 => Refused::Unspecified,
            IpAddr::V4(v4) if v4.is_broadcast() => Refused::Multicast,
            IpAddr::V4(v4) if v4.is_link_local() => Refused::LinkLocal,
            IpAddr::V6(v6) if v6.is_unspecified() => Refused::Unspecified,
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Refused::LinkLocal,
            IpAddr::V4(_) | IpAddr::V6(_) => return Ok(()),
        };
        Err(refused)
    }
}

/// The IPv4 address inside a mapped (`::ffff:0:0/96`), NAT64 (`64:ff9b::/96`, RFC 6052) or 6to4 (`2002::/16`,
/// RFC 3056) address; anything else as it is.
fn embedded_v4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let segments = v6.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        IpAddr::from([a, b, c, d])
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            v4(high, low)
        }
        _ => address,
    }
}

// === impl Refused ===

impl Refused {
    /// For a sentence: "… is a loopback address".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Metadata => "cloud metadata",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_no_registry_lives_in_are_refused() {
        let table = [
            ("127.0.0.1", Some(Refused::Loopback)),
            ("127.8.9.1", Some(Refused::Loopback)),
            ("::1", Some(Refused::Loopback)),
            ("::ffff:127.0.0.1", Some(Refused::Loopback)),
            ("64:ff9b::7f00:1", Some(Refused::Loopback)),
            ("2002:7f00:1::", Some(Refused::Loopback)),
            ("169.254.169.254", Some(Refused::LinkLocal)),
            ("::ffff:169.254.169.254", Some(Refused::LinkLocal)),
            ("fe80::1", Some(Refused::LinkLocal)),
            ("fd00:ec2::254", Some(Refused::Metadata)),
            ("100.100.100.200", Some(Refused::Metadata)),
            ("168.63.129.16", Some(Refused::Metadata)),
            ("0.0.0.0", Some(Refused::Unspecified)),
            ("0.1.2.3", Some(Refused::Unspecified)),
            ("::", Some(Refused::Unspecified)),
            ("224.0.0.1", Some(Refused::Multicast)),
            ("255.255.255.255", Some(Refused::Multicast)),
            ("ff02::1", Some(Refused::Multicast)),
            ("10.0.0.1", None),
            ("172.16.3.4", None),
            ("192.168.1.1", None),
            ("fd12::1", None),
            ("93.184.216.34", None),
        ];
        for (address, expected) in table {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(Guard::default().check(address).err(), expected, "{address}");
        }
    }

    #[test]
    fn the_operator_may_allow_a_range() {
        let guard = Guard { allow: vec!["127.0.0.0/8".parse().unwrap()] };
        assert_eq!(guard.check("127.0.0.1".parse().unwrap()), Ok(()));
        assert_eq!(guard.check("::ffff:127.0.0.1".parse().unwrap()), Ok(()));
        assert_eq!(guard.check("::1".parse().unwrap()), Err(Refused::Loopback));
    }
}
