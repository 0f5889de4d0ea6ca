//! What a server was asked, in order of arrival.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use crate::request::Request;

/// The longest body that is kept, in bytes.
const LONGEST_BODY: usize = 64 * 1024;

/// The number of a request; later requests have higher ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u64);

#[derive(Debug, Default)]
struct State {
    next: u64,
    requests: BTreeMap<Id, Request>,
    connections: u64,
    in_flight: usize,
    most_in_flight: usize,
}

/// The log of one server.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<State>);

impl Log {
    pub(super) fn connected(&self) {
        self.state().connections += 1;
    }

    /// Notes a request whose head has come; it is under way until the second value is dropped.
    pub(super) fn begin(&self, request: &Request) -> (Id, UnderWay<'_>) {
        let mut state = self.state();
        let id = Id(state.next);
        state.next += 1;
        state.requests.insert(id, request.clone());
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        (id, UnderWay(self))
    }

    pub(super) fn received(&self, id: Id, request: &Request) {
        if let Some(noted) = self.state().requests.get_mut(&id) {
            noted.body_bytes = request.body_bytes;
            let short = request.body.len() <= LONGEST_BODY;
            noted.body = if short { request.body.clone() } else { Bytes::new() };
        }
    }

    pub(super) fn answered(&self, id: Id, status: u16) {
        if let Some(noted) = self.state().requests.get_mut(&id) {
            noted.status = Some(status);
        }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state().requests.values().cloned().collect()
    }

    /// Forgets the requests and both counters.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.connections = 0;
        state.most_in_flight = state.in_flight;
    }

    pub(crate) fn connections(&self) -> u64 {
        self.state().connections
    }

    pub(crate) fn most_in_flight(&self) -> usize {
        self.state().most_in_flight
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A request that has not been answered yet.
#[derive(Debug)]
pub(super) struct UnderWay<'a>(&'a Log);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
    }
}
