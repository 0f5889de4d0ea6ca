//! May the login of a registry go to the token server that the registry names?
//!
//! The realm of a challenge is a string that whoever answered for the registry has chosen. It is judged twice:
//! here as text, and once more by [`server_chosen_address_is_forbidden`] when its name has been resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// What a token server may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Realm {
    /// The login of the registry.
    Trusted,
    /// A request without any login.
    AnonymousOnly {
        /// What speaks against more.
        why: RealmDoubt,
    },
    /// No request at all.
    Refused {
        /// What speaks against it.
        why: RealmDoubt,
    },
}

/// What speaks against a token server; `Display` completes "the registry's token server …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RealmDoubt {
    /// The host has nothing to do with the registry's.
    #[error("belongs to another domain")]
    OtherDomain,
    /// Same domain, another host, and plain HTTP.
    #[error("is another host, reached without TLS")]
    OtherHostWithoutTls,
    /// The URL holds a user name or password.
    #[error("has a user name in its URL")]
    UserInfo,
    /// The registry is reached with TLS and the token server would not be.
    #[error("is plain HTTP while the registry is HTTPS")]
    Downgrade,
    /// Neither http nor https, or no host.
    #[error("is not an HTTP URL with a host")]
    NotHttp,
    /// This machine, a neighbour on the link, or the metadata service of a cloud.
    #[error("is an address that a server may not choose: loopback, link-local or cloud metadata")]
    ForbiddenAddress,
}

/// Judges the token server `realm` of the registry `registry`.
///
/// Trusted are: the same host with the same or a stronger scheme, on any port; a host of the same registrable
/// domain over https (public suffix list, private suffixes such as `github.io` count); a pair of registry and
/// token server that stands in `allowed_pairs`, each `host` or `host:port`. Refused, whatever is listed: a user
/// name in the URL, http for a registry of https, and an address that a server may not choose, unless the
/// registry itself is the same host and port, or both are loopback. All else gets no login.
pub fn judge(registry: &Url, realm: &Url, allowed_pairs: &[(String, String)]) -> Realm {
    if let Some(why) = refusal(registry, realm) {
        return Realm::Refused { why };
    }
    // A weaker scheme has been refused above.
    if same_host(registry, realm) || is_listed(registry, realm, allowed_pairs) {
        return Realm::Trusted;
    }
    match (registrable_domain(registry), registrable_domain(realm)) {
        (Some(ours), Some(theirs)) if ours == theirs && realm.scheme() == "https" => Realm::Trusted,
        (Some(ours), Some(theirs)) if ours == theirs => {
            Realm::AnonymousOnly { why: RealmDoubt::OtherHostWithoutTls }
        }
        _ => Realm::AnonymousOnly { why: RealmDoubt::OtherDomain },
    }
}

/// Whether a connection to `ip` is refused when a server, not the user, has chosen its host.
///
/// To be asked after name resolution, for token servers, redirects and upload locations. Forbidden are
/// loopback, link-local, unspecified, multicast, broadcast and reserved addresses, the metadata services of the
/// known clouds, and IPv6 forms that embed such an IPv4 address (mapped, compatible, translated, NAT64, 6to4,
/// Teredo, ISATAP). Private ranges such as 10.0.0.0/8 are not among them: registries inside a company live there. To
/// those, only somebody who lives there, too, may send us.
pub fn server_chosen_address_is_forbidden(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => v4_is_forbidden(ip),
        IpAddr::V6(ip) => v6_is_forbidden(ip),
    }
}

/// Whether `ip` is in a network of its owner: the private ranges of RFC 1918 and RFC 6598, the unique local ones of
/// RFC 4193, and IPv6 forms that embed one of the former.
pub(crate) fn address_is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => v4_is_private(ip),
        IpAddr::V6(ip) => ip.is_unique_local() || embedded_v4(ip).into_iter().flatten().any(v4_is_private),
    }
}

/// Whether the user has listed this pair of registry and token server.
pub(crate) fn is_listed(registry: &Url, realm: &Url, allowed_pairs: &[(String, String)]) -> bool {
    allowed_pairs.iter().any(|(from, to)| names(from, registry) && names(to, realm))
}

/// Whether the host of `url` is this machine, by address or as `localhost`.
pub fn host_is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
        Some(Host::Domain(name)) => is_localhost(undotted(name)),
        None => false,
    }
}

fn refusal(registry: &Url, realm: &Url) -> Option<RealmDoubt> {
    if !matches!(realm.scheme(), "http" | "https") || realm.host().is_none() {
        return Some(RealmDoubt::NotHttp);
    }
    if !realm.username().is_empty() || realm.password().is_some() {
        return Some(RealmDoubt::UserInfo);
    }
    if realm.scheme() == "http" && registry.scheme() != "http" {
        return Some(RealmDoubt::Downgrade);
    }
    let same_server =
        same_host(registry, realm) && registry.port_or_known_default() == realm.port_or_known_default();
    let both_here = host_is_loopback(registry) && host_is_loopback(realm);
    (host_is_forbidden(realm) && !same_server && !both_here).then_some(RealmDoubt::ForbiddenAddress)
}

fn host_is_forbidden(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => v4_is_forbidden(ip),
        Some(Host::Ipv6(ip)) => v6_is_forbidden(ip),
        Some(Host::Domain(name)) => {
            let name = undotted(name);
            is_localhost(name) || METADATA_NAMES.contains(&name)
        }
        None => true,
    }
}

fn same_host(one: &Url, other: &Url) -> bool {
    match (one.host(), other.host()) {
        (Some(Host::Domain(one)), Some(Host::Domain(other))) => undotted(one) == undotted(other),
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// Whether `listed` (`host` or `host:port`) is the server of `url`.
fn names(listed: &str, url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = undotted(host);
    if undotted(listed).eq_ignore_ascii_case(host) {
        return true;
    }
    let port = url.port_or_known_default().unwrap_or_default();
    listed.rsplit_once(':').is_some_and(|(name, listed_port)| {
        undotted(name).eq_ignore_ascii_case(host) && listed_port.parse() == Ok(port)
    })
}

/// The part of the host's name that one owner has registered; an address and a bare suffix have none.
fn registrable_domain(url: &Url) -> Option<&str> {
    match url.host()? {
        Host::Domain(name) => psl::domain_str(undotted(name)),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// The name without the dot of the root; the `url` crate has put it into lower case.
fn undotted(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// RFC 6761, section 6.3: `localhost` and all below it.
fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// Names that lead to a metadata service without its address being known to us.
const METADATA_NAMES: [&str; 3] = ["metadata", "metadata.google.internal", "instance-data.ec2.internal"];

/// Metadata services outside the link-local range: Alibaba, Oracle, Azure.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

/// Metadata services in the unique-local range: Amazon, Google.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

fn v4_is_forbidden(ip: Ipv4Addr) -> bool {
    let [first, ..] = ip.octets();
    // 0.0.0.0/8 is "this network", 240.0.0.0/4 reserved with broadcast at its end.
    first == 0
        || first >= 240
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || METADATA_V4.contains(&ip)
}

fn v4_is_private(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    ip.is_private() || (first == 100 && second & 0xc0 == 64)
}

fn v6_is_forbidden(ip: Ipv6Addr) -> bool {
    ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_unicast_link_local()
        || ip.is_multicast()
        || METADATA_V6.contains(&ip)
        || embedded_v4(ip).into_iter().flatten().any(v4_is_forbidden)
}

/// The IPv4 addresses that a router or the system may read out of an IPv6 address.
fn embedded_v4(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 5] {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let join = |high: u16, low: u16| {
        let [first, second] = high.to_be_bytes();
        let [third, fourth] = low.to_be_bytes();
        Ipv4Addr::new(first, second, third, fourth)
    };
    let last = join(g, h);
    // Compatible, mapped (::ffff:v4), translated (::ffff:0:v4), and both NAT64 prefixes with a length of 96.
    let in_last = match (a, b) {
        (0, 0) => c == 0 && d == 0,
        (0x64, 0xff9b) => true,
        _ => false,
    } || (matches!(e, 0 | 0x200) && f == 0x5efe);
    // RFC 6052, section 2.2, with the 48-bit prefix of RFC 8215: bits 64 to 71 are left out.
    let [_, e_low] = e.to_be_bytes();
    let [f_high, _] = f.to_be_bytes();
    let local_nat64 = (a, b, c) == (0x64, 0xff9b, 1);
    [
        in_last.then_some(last),
        local_nat64.then(|| join(d, u16::from_be_bytes([e_low, f_high]))),
        (a == 0x2002).then(|| join(b, c)),
        // Teredo: the server as it is, the client with all bits turned.
        ((a, b) == (0x2001, 0)).then(|| join(c, d)),
        ((a, b) == (0x2001, 0)).then(|| join(!g, !h)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER_DOMAIN: Realm = Realm::AnonymousOnly { why: RealmDoubt::OtherDomain };
    const PLAIN: Realm = Realm::AnonymousOnly { why: RealmDoubt::OtherHostWithoutTls };
    const DOWNGRADE: Realm = Realm::Refused { why: RealmDoubt::Downgrade };
    const USER_INFO: Realm = Realm::Refused { why: RealmDoubt::UserInfo };
    const FORBIDDEN: Realm = Realm::Refused { why: RealmDoubt::ForbiddenAddress };
    const NOT_HTTP: Realm = Realm::Refused { why: RealmDoubt::NotHttp };

    fn judged(registry: &str, realm: &str) -> Realm {
        judge(&registry.parse().unwrap(), &realm.parse().unwrap(), &[])
    }

    /// SEC-5, SEC-7, SEC-9.
    #[test]
    fn a_login_stays_with_its_owner() {
        let table = [
            // The same host.
            ("https://reg.example.com", "https://reg.example.com/token", Realm::Trusted),
            ("https://reg.example.com", "https://REG.example.COM./token", Realm::Trusted),
            ("https://reg.example.com:5000", "https://reg.example.com:5001/token", Realm::Trusted),
            ("http://reg.example.com", "http://reg.example.com/token", Realm::Trusted),
            ("http://reg.example.com", "https://reg.example.com/token", Realm::Trusted),
            ("https://10.1.2.3:5000", "https://10.1.2.3/token", Realm::Trusted),
            ("https://[fd00::1]:5000", "https://[fd00:0::1]/token", Realm::Trusted),
            ("http://registry:5000", "http://registry:5001/token", Realm::Trusted),
            // The same registrable domain.
            ("https://registry-1.docker.io", "https://auth.docker.io/token", Realm::Trusted),
            ("https://registry.git.example.co.uk", "https://git.example.co.uk/jwt/auth", Realm::Trusted),
            ("http://reg.example.com", "https://auth.example.com/token", Realm::Trusted),
            ("http://reg.example.com", "http://auth.example.com/token", PLAIN),
            // Other owners.
            ("https://reg.example.com", "https://evil.test/token", OTHER_DOMAIN),
            ("https://registry.example.com", "https://registry.example.com.evil.test/token", OTHER_DOMAIN),
            ("https://reg.example.com", "https://evilexample.com/token", OTHER_DOMAIN),
            ("https://a.github.io", "https://b.github.io/token", OTHER_DOMAIN),
            ("https://a.co.uk", "https://b.co.uk/token", OTHER_DOMAIN),
            ("https://a.s3.amazonaws.com", "https://b.s3.amazonaws.com/token", OTHER_DOMAIN),
            ("https://registry", "https://auth/token", OTHER_DOMAIN),
            ("https://10.1.2.3", "https://10.1.2.4/token", OTHER_DOMAIN),
            ("https://10.1.2.3", "https://reg.example.com/token", OTHER_DOMAIN),
            ("https://reg.example.com", "https://10.1.2.3/token", OTHER_DOMAIN),
            // Tricks.
            ("https://reg.example.com", "http://reg.example.com/token", DOWNGRADE),
            ("https://reg.example.com", "http://auth.example.com/token", DOWNGRADE),
            ("https://good.example", "https://good.example@evil.test/token", USER_INFO),
            ("https://good.example", "https://user:pw@good.example/token", USER_INFO),
            ("https://good.example", "https://:pw@good.example/token", USER_INFO),
            ("https://good.example", "ftp://good.example/token", NOT_HTTP),
            ("https://good.example", "file:///etc/passwd", NOT_HTTP),
            ("https://good.example", "data:text/plain,x", NOT_HTTP),
            // Addresses that a server may not choose, in every spelling.
            ("http://reg.example.com", "http://169.254.169.254/latest", FORBIDDEN),
            ("http://reg.example.com", "http://127.0.0.1/", FORBIDDEN),
            ("http://reg.example.com", "http://2130706433/", FORBIDDEN),
            ("http://reg.example.com", "http://0x7f.1/", FORBIDDEN),
            ("http://reg.example.com", "http://0177.0.0.01/", FORBIDDEN),
            ("http://reg.example.com", "http://①②⑦.0.0.1/", FORBIDDEN),
            ("http://reg.example.com", "http://0.0.0.0/", FORBIDDEN),
            ("http://reg.example.com", "http://[::]/", FORBIDDEN),
            ("http://reg.example.com", "http://[::1]/", FORBIDDEN),
            ("http://reg.example.com", "http://[::ffff:127.0.0.1]/", FORBIDDEN),
            ("http://reg.example.com", "http://[64:ff9b::a9fe:a9fe]/", FORBIDDEN),
            ("http://reg.example.com", "http://[2002:7f00:1::]/", FORBIDDEN),
            ("http://reg.example.com", "http://localhost/", FORBIDDEN),
            ("http://reg.example.com", "http://a.LOCALHOST./", FORBIDDEN),
            ("http://reg.example.com", "http://metadata.google.internal/", FORBIDDEN),
            ("https://10.0.0.1", "https://127.0.0.1/", FORBIDDEN),
            ("http://169.254.1.1:5000", "http://169.254.1.1:80/", FORBIDDEN),
            // The registry the user typed lies there itself.
            ("http://169.254.1.1:5000", "http://169.254.1.1:5000/token", Realm::Trusted),
            ("http://localhost:5000", "http://localhost:5001/token", Realm::Trusted),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", Realm::Trusted),
            ("http://[::1]:5000", "http://[::1]:5001/token", Realm::Trusted),
            ("http://127.0.0.1:5000", "http://localhost:5001/token", OTHER_DOMAIN),
            ("http://localhost:5000", "http://169.254.169.254/token", FORBIDDEN),
            ("http://localhost:5000", "http://0.0.0.0:5001/token", FORBIDDEN),
        ];
        for (registry, realm, expected) in table {
            assert_eq!(judged(registry, realm), expected, "{registry} names {realm}");
        }
    }

    #[test]
    fn a_listed_pair_is_trusted_in_that_direction_only() {
        let pairs = [
            ("reg.example.com".to_owned(), "login.example.net".to_owned()),
            ("Reg.Example.org:5000".to_owned(), "login.example.net:8443".to_owned()),
            ("reg.example.com".to_owned(), "127.0.0.1".to_owned()),
        ];
        let table = [
            ("https://reg.example.com", "https://login.example.net/t", Realm::Trusted),
            ("https://reg.example.com:5000", "https://login.example.net:1/t", Realm::Trusted),
            ("https://login.example.net", "https://reg.example.com/t", OTHER_DOMAIN),
            ("https://reg.example.org:5000", "https://login.example.net:8443/t", Realm::Trusted),
            ("https://reg.example.org", "https://login.example.net:8443/t", OTHER_DOMAIN),
            ("https://reg.example.org:5000", "https://login.example.net/t", OTHER_DOMAIN),
            ("https://reg.example.com", "http://login.example.net/t", DOWNGRADE),
            ("https://reg.example.com", "https://a@login.example.net/t", USER_INFO),
            ("http://reg.example.com", "http://login.example.net/t", Realm::Trusted),
            ("http://reg.example.com", "http://127.0.0.1/t", FORBIDDEN),
        ];
        for (registry, realm, expected) in table {
            let found = judge(&registry.parse().unwrap(), &realm.parse().unwrap(), &pairs);
            assert_eq!(found, expected, "{registry} names {realm}");
        }
    }

    /// SEC-8, SEC-9.
    #[test]
    fn addresses_are_judged_with_what_they_embed() {
        let forbidden = [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:0.0.0.0",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:7f00:0:100::",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::",
            "2001::8000:0:80ff:fffe",
            "2001:db8::5efe:127.0.0.1",
            "2001:db8::200:5efe:127.0.0.1",
        ];
        for ip in forbidden {
            assert!(server_chosen_address_is_forbidden(ip.parse().unwrap()), "{ip}");
        }
        let allowed = [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "1.1.1.1",
            "93.184.216.34",
            "fd00::1",
            "2606:4700::1",
            "::ffff:10.0.0.1",
            "64:ff9b::1.1.1.1",
            "2002:a00:1::1",
            "2001:db8::7f00:1",
        ];
        for ip in allowed {
            assert!(!server_chosen_address_is_forbidden(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn this_machine_has_many_names() {
        for host in ["localhost", "a.localhost", "LOCALHOST.", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"] {
            assert!(host_is_loopback(&format!("http://{host}:1/").parse().unwrap()), "{host}");
        }
        for host in ["localhost.example.com", "10.0.0.1", "[fe80::1]", "0.0.0.0"] {
            assert!(!host_is_loopback(&format!("http://{host}:1/").parse().unwrap()), "{host}");
        }
    }
}
