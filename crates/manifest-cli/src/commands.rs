//! The verbs, one file each: they parse, call and print.

pub(crate) mod add;
pub(crate) mod annotate;
pub(crate) mod cache;
pub(crate) mod completions;
pub(crate) mod cp;
pub(crate) mod create;
pub(crate) mod exists;
pub(crate) mod history;
pub(crate) mod hold;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod push;
pub(crate) mod refresh;
pub(crate) mod release;
pub(crate) mod remove;
pub(crate) mod rename;
pub(crate) mod rm;
pub(crate) mod tag;
pub(crate) mod undo;
pub(crate) mod untag;
pub(crate) mod version;
