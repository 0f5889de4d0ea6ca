//! The part of a record that an edit may change.

use manifest_core::{Digest, Format, List};
use serde::{Deserialize, Serialize};

use crate::Sources;

/// What an edit may change of a record.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Draft {
    /// The list itself.
    pub list: List,
    /// The format that the user asked for; `None` takes [`List::natural_format`].
    ///
    /// Who keeps a published list whole says its format here, since the natural one may differ.
    pub format: Option<Format>,
    /// Where the entries came from. Entries that are not in the list are dropped when the draft is saved.
    pub sources: Sources,
    /// The published list that this draft was made from.
    pub base: Option<Base>,
}

impl From<List> for Draft {
    fn from(list: List) -> Self {
        Self { list, ..Self::default() }
    }
}

/// The published list that a draft was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a pair of values that anybody may make")]
pub struct Base {
    /// The reference, as it was typed.
    pub reference: String,
    /// The digest that it had then.
    pub digest: Digest,
}
