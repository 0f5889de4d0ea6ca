//! What a transport tells while it works.

use std::fmt;
use std::time::Duration;

use manifest_core::Digest;

/// Something worth telling while work goes on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A request was answered.
    Request {
        /// The method.
        method: String,
        /// The URL without its query.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// An attempt failed and there will be another one.
    Retry {
        /// What was asked.
        request: String,
        /// Who was asked.
        host: String,
        /// The number of the attempt that comes, the first retry being 1.
        retry: u32,
        /// The pause before it.
        pause: Duration,
        /// What the failed attempt met.
        cause: String,
    },
    /// A registry does not show yet what it has taken, and will be asked again.
    Unseen {
        /// The manifest that is waited for.
        what: String,
        /// The registry.
        host: String,
        /// The pause before it is asked again.
        pause: Duration,
    },
    /// The server warns of something.
    Warning(String),
    /// A login was looked up; the text says where it came from.
    Login {
        /// The registry.
        host: String,
        /// Where the login came from.
        origin: String,
    },
    /// A mirror did not serve something, and the next place is asked; told of each mirror once.
    Mirror {
        /// The mirror.
        mirror: String,
        /// The repository that it stands for.
        of: String,
        /// What went wrong.
        cause: String,
    },
    /// Bytes of a blob have come by.
    Bytes {
        /// The blob.
        digest: Digest,
        /// How many bytes.
        count: u64,
    },
}

/// Who is told.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Something happened; must not block.
    fn event(&self, event: Event);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event) {}
}
