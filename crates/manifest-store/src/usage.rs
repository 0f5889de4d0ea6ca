//! What a store takes up.

use std::time::Duration;

use manifest_core::ListName;

use crate::backend::{Plan, Touch};
use crate::gc::sweep;
use crate::{Store, StoreError, Tally};

/// What a store takes up.
#[derive(Debug)]
#[non_exhaustive]
pub struct Usage {
    /// The records that can be read: lists.
    pub lists: u64,
    /// The records that can be read: images.
    pub images: u64,
    /// The names that lead to records.
    pub names: u64,
    /// All blobs, each once.
    pub blobs: Tally,
    /// Those that no record holds; some may be what running commands rely on.
    pub reclaimable: Tally,
    /// What is being written, or was left behind by writers that are gone.
    pub temporary: Tally,
    /// The number of files and directories, where there are any.
    pub inodes: Option<u64>,
    /// Records, and manifests that they hold, that cannot be read. What they hold counts as held by nobody else.
    pub unreadable: Vec<StoreError>,
}

impl Store {
    /// What the store takes up. Waits for nobody, and changes nothing.
    ///
    /// # Errors
    /// When the store as a whole cannot be read.
    pub async fn usage(&self) -> Result<Usage, StoreError> {
        let plan = Plan { grace: Duration::ZERO, now: self.options().clock.now(), touch: Touch::Look };
        self.read(move |catalog| {
            catalog.0.check()?;
            let (swept, marked) = sweep(catalog, &plan)?;
            let mut leftovers = swept.leftovers;
            leftovers.extend(catalog.0.tidy(&plan)?);
            let mut names = 0;
            for (id, listed) in &marked.records {
                let has =
                    |name: &&ListName| matches!(catalog.binding(name), Ok((Some(bound), _)) if bound == *id);
                names += listed.iter().filter(has).count() as u64;
            }
            let (reclaimable, kept) = (Tally::from(swept.removed), Tally::from(swept.kept));
            Ok(Usage {
                lists: marked.lists,
                images: marked.images,
                names,
                blobs: (reclaimable.count + kept.count, reclaimable.bytes + kept.bytes).into(),
                reclaimable,
                temporary: Tally::of(&leftovers),
                inodes: catalog.0.inodes()?,
                unreadable: marked.unreadable,
            })
        })
        .await
    }
}
