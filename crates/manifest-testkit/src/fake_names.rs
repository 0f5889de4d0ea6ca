//! Names of hosts that only a test knows.

use std::collections::BTreeMap;
use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use manifest_transport::{LookUp, Names};

/// A network of the test's own: names with the addresses that it gives them. Every connection, to whatever address, is
/// made to this machine instead.
///
/// ```
/// # use manifest_testkit::FakeNames;
/// let names = FakeNames::default();
/// names.set("registry.example", &["203.0.113.7"]);
/// names.set_next("moves.example", &["203.0.113.7"]);
/// names.set("moves.example", &["10.0.0.1"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FakeNames(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, Vec<IpAddr>>,
    next: BTreeMap<String, Vec<Vec<IpAddr>>>,
    dials: BTreeMap<IpAddr, IpAddr>,
    asked: Vec<String>,
    dialled: Vec<IpAddr>,
}

impl FakeNames {
    /// Gives a name these addresses.
    ///
    /// # Panics
    /// If they are none.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        self.state().names.insert(name.to_owned(), parsed(addresses));
    }

    /// As [`set`](Self::set), for the next look-up that has no other answer yet.
    ///
    /// # Panics
    /// If they are none.
    pub fn set_next(&self, name: &str, addresses: &[&str]) {
        self.state().next.entry(name.to_owned()).or_default().push(parsed(addresses));
    }

    /// Makes connections to `address` to another one.
    ///
    /// # Panics
    /// If they are none.
    pub fn dial_to(&self, address: &str, instead: IpAddr) {
        self.state().dials.insert(address.parse().expect("an address"), instead);
    }

    /// The names that were looked up, in order.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// The addresses that were good enough to be connected to, in order.
    pub fn dialled(&self) -> Vec<IpAddr> {
        self.state().dialled.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parsed(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().expect("an address")).collect()
}

impl Names for FakeNames {
    fn look_up(&self, name: &str) -> LookUp {
        let mut state = self.state();
        state.asked.push(name.to_owned());
        let next = state.next.get_mut(name).filter(|next| !next.is_empty()).map(|next| next.remove(0));
        let found = next.or_else(|| state.names.get(name).cloned());
        let found = found.map(|found| found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect());
        let unknown = || io::Error::other("Name or service not known");
        Box::pin(ready(found.ok_or_else(unknown)))
    }

    fn dial(&self, address: SocketAddr) -> SocketAddr {
        let mut state = self.state();
        state.dialled.push(address.ip());
        let instead = state.dials.get(&address.ip()).copied();
        SocketAddr::new(instead.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), 0)
    }
}
