//! Tokens that were issued, and what they are good for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

/// A scope: actions on one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The kind of thing, such as `repository`.
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) actions: BTreeSet<String>,
}

impl Scope {
    /// Reads `repository:NAME:pull,push`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let actions = actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned).collect();
        Some(Self { kind: kind.to_owned(), name: name.to_owned(), actions })
    }

    fn covers(&self, wanted: &Self) -> bool {
        let all = self.actions.contains("*") || self.actions.is_superset(&wanted.actions);
        self.kind == wanted.kind && self.name == wanted.name && all
    }
}

/// How many more requests a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uses {
    Any,
    Left(u64),
}

/// What a registry thinks of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    TooNarrow,
    Unknown,
}

#[derive(Debug)]
struct Token {
    scopes: Vec<Scope>,
    uses: Uses,
}

#[derive(Debug, Default)]
struct State {
    serial: u64,
    all: Vec<String>,
    valid: BTreeMap<String, Token>,
}

/// All tokens of one server.
#[derive(Debug, Default)]
pub(crate) struct Issued(Mutex<State>);

impl Issued {
    pub(super) fn next(&self) -> u64 {
        let mut state = self.state();
        state.serial += 1;
        state.serial
    }

    pub(super) fn add(&self, token: String, scopes: Vec<Scope>, uses: Uses) {
        let mut state = self.state();
        state.all.push(token.clone());
        state.valid.insert(token, Token { scopes, uses });
    }

    pub(super) fn revoke(&self) {
        self.state().valid.clear();
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.state().all.clone()
    }

    /// Whether a token allows the scopes a request needs; a good one is used up by one request.
    pub(crate) fn check(&self, token: &str, wanted: &[String]) -> Verdict {
        let mut state = self.state();
        let Some(token) = state.valid.get_mut(token) else { return Verdict::Unknown };
        if token.uses == Uses::Left(0) {
            return Verdict::Unknown;
        }
        let allowed = |text: &String| {
            Scope::parse(text).is_some_and(|wanted| token.scopes.iter().any(|scope| scope.covers(&wanted)))
        };
        if !wanted.iter().all(allowed) {
            return Verdict::TooNarrow;
        }
        if let Uses::Left(left) = &mut token.uses {
            *left -= 1;
        }
        Verdict::Good
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
