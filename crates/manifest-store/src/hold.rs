//! Who needs a record to stay.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{RecordId, text};

/// Who holds a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HeldBy {
    /// Whoever goes by this name: a job, a release, a person.
    #[serde(rename = "by")]
    Name(String),
    /// A list that has the record as one of its entries.
    #[serde(rename = "list")]
    List(RecordId),
}

/// A promise that a record stays; it outlives the process that asked for it.
///
/// Holds are a set: the same holder twice is one hold, and one release ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hold {
    /// Who holds it.
    #[serde(flatten)]
    pub by: HeldBy,
    /// Since when.
    #[serde(with = "text")]
    pub since: Timestamp,
    /// When it ends by itself; never, if there is none.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Hold {
    /// Whether it has ended by itself.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// The holds on one record, in the order in which they were taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Holds(Vec<Hold>);

impl Holds {
    pub(crate) fn all(&self) -> &[Hold] {
        &self.0
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a hold, or gives one that is there another end. Whether that changes anything.
    pub(crate) fn hold(&mut self, by: HeldBy, since: Timestamp, until: Option<Timestamp>) -> bool {
        match self.0.iter_mut().find(|hold| hold.by == by) {
            Some(hold) if hold.until == until => false,
            Some(hold) => {
                hold.until = until;
                true
            }
            None => {
                self.0.push(Hold { by, since, until });
                true
            }
        }
    }

    /// Takes the hold of a list, or takes it anew. Whether it was not there.
    pub(crate) fn hold_for(&mut self, list: RecordId, since: Timestamp) -> bool {
        let by = HeldBy::List(list);
        match self.0.iter_mut().find(|hold| hold.by == by) {
            Some(hold) => {
                hold.since = since;
                false
            }
            None => self.hold(by, since, None),
        }
    }

    /// Ends a hold; one that is not there is fine. Whether that changes anything.
    pub(crate) fn release(&mut self, by: &HeldBy) -> bool {
        let before = self.0.len();
        self.0.retain(|hold| hold.by != *by);
        self.0.len() != before
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::List(id) => write!(f, "the list {}", id.short()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_are_a_set_that_reads_back() {
        let (ci, at) = (HeldBy::Name("ci".to_owned()), Timestamp::UNIX_EPOCH);
        let mut holds = Holds::default();
        assert!(holds.hold(ci.clone(), at, None));
        assert!(!holds.hold(ci.clone(), at, None), "the same hold twice");
        let id: RecordId = "ab".repeat(32).parse().unwrap();
        assert!(holds.hold(HeldBy::List(id), at, Some(at)));
        let json = serde_json::to_string(&holds).unwrap();
        assert!(json.starts_with(r#"[{"by":"ci","since":"1970-01-01T00:00:00Z"},{"list":"abab"#), "{json}");
        assert_eq!(serde_json::from_str::<Holds>(&json).unwrap(), holds);
        assert!(holds.all()[1].is_expired(at) && !holds.all()[0].is_expired(at));
        assert!(holds.release(&ci) && !holds.release(&ci), "released twice");
    }
}
