//! Names of hosts: where they lead, and whether we may follow when a server chose them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::client::{Chosen, is_loopback};
use crate::auth::realm::{address_is_private, server_chosen_address_is_forbidden};

/// The addresses of a name, as soon as they are known; their ports are 0.
pub type LookUp = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Where the addresses of hosts come from.
pub trait Names: fmt::Debug + Send + Sync {
    /// Looks a name up. The result is judged before anybody connects to it.
    fn look_up(&self, name: &str) -> LookUp;

    /// Where a connection to an address that was looked up is made: there, unless somebody stands in for it.
    fn dial(&self, address: SocketAddr) -> SocketAddr {
        address
    }
}

/// The names that the machine knows.
#[derive(Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has nothing to set")]
pub struct SystemNames;

impl Names for SystemNames {
    fn look_up(&self, name: &str) -> LookUp {
        let name = name.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) })
    }
}

/// From where somebody speaks to us, or sends us elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stands {
    /// Somewhere that everybody may reach.
    Outside,
    /// On this machine, or in a network of which it is a part.
    Inside,
}

/// All names that were looked up, by what they turned out to be.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    names: Arc<dyn Names>,
    known: Arc<Mutex<BTreeMap<String, Stands>>>,
    /// The names that a server chose. What else is looked up is the proxy of the user.
    named: Arc<Mutex<BTreeSet<String>>>,
}

impl Resolver {
    pub(super) fn new(names: Arc<dyn Names>) -> Self {
        Self { names, known: Arc::default(), named: Arc::default() }
    }

    /// The same, for requests to hosts that were chosen like this.
    pub(super) fn judging(&self, chosen: Chosen) -> Judging {
        Judging { resolver: self.clone(), chosen }
    }

    /// Where the host of `url` stands. A name that was not looked up stands outside.
    pub(super) fn stands(&self, url: &Url) -> Stands {
        if is_loopback(url) {
            return Stands::Inside;
        }
        match url.host() {
            Some(Host::Ipv4(ip)) => stands(ip.into()),
            Some(Host::Ipv6(ip)) => stands(ip.into()),
            Some(Host::Domain(name)) => {
                let known = self.known.lock().ok().and_then(|known| known.get(name).copied());
                known.unwrap_or(Stands::Outside)
            }
            None => Stands::Outside,
        }
    }

    /// Whether a request may be sent to `url`, as far as that is known before its name is looked up.
    pub(super) fn admits(&self, url: &Url, chosen: Chosen) -> bool {
        match url.host() {
            Some(Host::Ipv4(ip)) => may_reach(ip.into(), chosen),
            Some(Host::Ipv6(ip)) => may_reach(ip.into(), chosen),
            Some(Host::Domain(name)) => {
                let new = || self.named.lock().map(|mut named| named.insert(name.to_owned()));
                chosen == Chosen::ByUser || new().is_ok()
            }
            None => false,
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.named.lock().map_or(true, |named| named.contains(name))
    }

    /// Notes where a name stands; one that was ever found outside stays there, whatever its owner says later.
    fn note(&self, name: &str, found: &[SocketAddr]) {
        let inside = !found.is_empty() && found.iter().all(|address| stands(address.ip()) == Stands::Inside);
        let now = if inside { Stands::Inside } else { Stands::Outside };
        if let Ok(mut known) = self.known.lock() {
            let before = known.entry(name.to_owned()).or_insert(now);
            *before = now.min(*before);
        }
    }
}

fn stands(ip: IpAddr) -> Stands {
    let inside = address_is_private(ip) || server_chosen_address_is_forbidden(ip);
    if inside { Stands::Inside } else { Stands::Outside }
}

/// Whether a connection to `ip` may be made.
fn may_reach(ip: IpAddr, chosen: Chosen) -> bool {
    match chosen {
        Chosen::ByUser => true,
        Chosen::ByServer(Stands::Inside) => !server_chosen_address_is_forbidden(ip),
        Chosen::ByServer(Stands::Outside) => stands(ip) == Stands::Outside,
    }
}

/// Looks names up for one client, and leaves out the addresses that it may not reach.
#[derive(Debug)]
pub(super) struct Judging {
    resolver: Resolver,
    chosen: Chosen,
}

impl Resolve for Judging {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, chosen) = (self.resolver.clone(), self.chosen);
        Box::pin(async move {
            let mut found = resolver.names.look_up(name.as_str()).await?;
            resolver.note(name.as_str(), &found);
            let any = !found.is_empty();
            found.retain(|address| !resolver.is_named(name.as_str()) || may_reach(address.ip(), chosen));
            if any && found.is_empty() {
                let refusal = format!("{} has no address that a server may send us to", name.as_str());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal).into());
            }
            let dialled: Vec<_> = found.into_iter().map(|address| resolver.names.dial(address)).collect();
            Ok(Box::new(dialled.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEC-7, SEC-9.
    #[test]
    fn who_stands_outside_sends_us_nowhere_inside() {
        let (outside, inside) = (Chosen::ByServer(Stands::Outside), Chosen::ByServer(Stands::Inside));
        for (ip, by_user, by_inside, by_outside) in [
            ("93.184.216.34", true, true, true),
            ("2606:4700::1", true, true, true),
            ("10.0.0.1", true, true, false),
            ("172.16.0.1", true, true, false),
            ("192.168.1.1", true, true, false),
            ("100.64.0.1", true, true, false),
            ("fd00::1", true, true, false),
            ("::ffff:10.0.0.1", true, true, false),
            ("64:ff9b::10.0.0.1", true, true, false),
            ("172.32.0.1", true, true, true),
            ("169.254.169.254", true, false, false),
            ("127.0.0.1", true, false, false),
            ("fd00:ec2::254", true, false, false),
        ] {
            let ip = ip.parse().unwrap();
            let found = [Chosen::ByUser, inside, outside].map(|chosen| may_reach(ip, chosen));
            assert_eq!(found, [by_user, by_inside, by_outside], "{ip}");
        }
    }

    /// SEC-8.
    #[test]
    fn a_name_that_was_ever_outside_stays_outside() {
        let resolver = Resolver::new(Arc::new(SystemNames));
        let url = Url::parse("https://r.example/").unwrap();
        let (inside, outside) = ("10.0.0.1:0".parse().unwrap(), "93.184.216.34:0".parse().unwrap());
        assert_eq!(resolver.stands(&url), Stands::Outside, "nobody knows it yet");
        resolver.note("r.example", &[inside]);
        assert_eq!(resolver.stands(&url), Stands::Inside);
        resolver.note("r.example", &[inside, outside]);
        assert_eq!(resolver.stands(&url), Stands::Outside);
        resolver.note("r.example", &[inside]);
        assert_eq!(resolver.stands(&url), Stands::Outside);
    }
}
