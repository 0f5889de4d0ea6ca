//! The verbs, one file each: they parse, call and print.

pub(crate) mod add;
pub(crate) mod annotate;
pub(crate) mod completions;
pub(crate) mod create;
pub(crate) mod exists;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod push;
pub(crate) mod remove;
pub(crate) mod rm;
pub(crate) mod tag;
pub(crate) mod untag;
pub(crate) mod version;
