//! Looking whether a store is what it should be.

mod inspect;
mod names;
mod pool;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use manifest_core::Digest;

use crate::backend::{LockKey, Plan, Touch};
use crate::gc::failed;
use crate::lock::Sharing;
use crate::store::{Locks, Turn};
use crate::{Holder, Store, StoreError, Tally};
use inspect::Inspection;
use pool::{DamagedBlob, still_missing};

/// Whether to put right what can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// Only look; nothing is changed.
    #[default]
    No,
    /// Put right what can be, without losing anything that has a name.
    Yes,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Something is lost, or is not what was written.
    Damage,
    /// Something is left over that harms nobody.
    Leftover,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file, the object or the record.
    pub object: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// What is lost by that, and what is not.
    pub lost: String,
    /// What was done about it, would be, or is to be done by hand; none when there is nothing that can be done.
    pub repair: Option<String>,
    /// Whether that was done.
    pub repaired: bool,
}

/// What a store is found to be.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// What is wrong, one for each object, sorted by object.
    pub findings: Vec<Finding>,
    /// How many records can be read.
    pub records: u64,
    /// How many names lead to one of them.
    pub names: u64,
    /// The blobs that are what their digests say.
    pub blobs: Tally,
    /// The entries of lists that are known by their descriptors only: their content lies elsewhere.
    pub remote: u64,
}

impl CheckReport {
    /// Whether something is damaged that was not put right. What was lost by that stays lost.
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Damage && !finding.repaired)
    }
}

impl Finding {
    fn damage(path: &Path, what: impl Into<String>, lost: impl Into<String>) -> Self {
        Self::new(Severity::Damage, path.display(), what, lost)
    }

    fn leftover(object: impl fmt::Display, what: impl Into<String>) -> Self {
        Self::new(Severity::Leftover, object, what, "nothing")
    }

    fn new(
        severity: Severity,
        object: impl fmt::Display,
        what: impl Into<String>,
        lost: impl Into<String>,
    ) -> Self {
        Self {
            object: object.to_string(),
            severity,
            what: what.into(),
            lost: lost.into(),
            repair: None,
            repaired: false,
        }
    }

    fn repair(mut self, how: impl Into<String>, repaired: bool) -> Self {
        (self.repair, self.repaired) = (Some(how.into()), repaired);
        self
    }
}

impl Store {
    /// Looks at everything in the store: whether records can be read and their histories lead back, whether names and
    /// records agree, whether all blobs are what their digests say and those that records hold are there.
    ///
    /// With [`Repair::Yes`] what nobody owns is removed, and what is damaged is moved to `lost+found` in the store, never
    /// deleted; a name whose file is damaged leads again to the record that lists it, if there is just one. In a bucket
    /// nothing is moved, and only what was remembered of references is removed. With [`Repair::No`] nothing is changed, and
    /// nothing has to be changeable. Blobs are read without a lock, so that nobody waits for that.
    ///
    /// # Errors
    /// [`StoreError::Busy`]; [`StoreError::NewerVersion`]; what disks and services refuse. What is found is no error.
    pub async fn check(&self, repair: Repair) -> Result<CheckReport, StoreError> {
        match self.read(|catalog| catalog.0.is_there()).await {
            Ok(true) => {}
            Ok(false) => return Ok(CheckReport::default()),
            // Without what vouches for the rest that is not looked at.
            Err(StoreError::Damaged { path, what }) => {
                let lost = "nothing, as far as can be told before this is put right";
                let findings = vec![Finding::damage(&path, what, lost)];
                return Ok(CheckReport { findings, ..CheckReport::default() });
            }
            Err(error) => return Err(error),
        }
        let mut findings = self.ownerless(repair).await?;
        let (now, command) = (self.options().clock.now(), &self.options().command);
        let note = Holder::note(command, now);
        let inspected = self.read(move |catalog| {
            let mut inspection = Inspection::new(catalog, repair, note);
            failed(inspection.run())?;
            Ok((inspection.report, inspection.missing, inspection.damaged))
        });
        let (mut report, missing, damaged) = inspected.await?;
        report.findings.append(&mut self.missing(missing, repair).await?);
        if repair == Repair::Yes && !damaged.is_empty() {
            let free = self.set_aside(damaged).await?;
            let is_free =
                |finding: &Finding| free.iter().any(|path| finding.object == path.display().to_string());
            report
                .findings
                .iter_mut()
                .filter(|finding| is_free(finding))
                .for_each(|finding| finding.repaired = true);
        }
        findings.append(&mut report.findings);
        findings.sort_by(|a, b| a.object.cmp(&b.object));
        // What was found first is closest to the cause.
        findings.dedup_by(|later, first| later.object == first.object);
        Ok(CheckReport { findings, ..report })
    }

    /// Those of the blobs that were not found which records hold while nothing is collected. What held them before may be
    /// gone, and they with it.
    async fn missing(&self, missing: BTreeSet<Digest>, repair: Repair) -> Result<Vec<Finding>, StoreError> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let locks = self.pool_lock(Sharing::Shared, repair);
        let found = locks.run(move |catalog| Ok(still_missing(catalog, &missing)?));
        failed(found.await).map(|(_, findings)| findings)
    }

    /// Moves damaged blobs aside while nobody writes any; the paths that are whole or free by then.
    async fn set_aside(&self, damaged: Vec<DamagedBlob>) -> Result<Vec<PathBuf>, StoreError> {
        let moved = self.pool_lock(Sharing::Alone, Repair::Yes).run(move |catalog| {
            let free: Result<Vec<_>, _> = damaged.into_iter().map(|blob| blob.set_aside(catalog)).collect();
            Ok(free?.into_iter().flatten().collect())
        });
        match failed(moved.await) {
            Ok((_, free)) => Ok(free),
            // They stay as they were found.
            Err(StoreError::Busy(..)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Finds what was left behind by those who are gone; whoever is there is asked.
    async fn ownerless(&self, repair: Repair) -> Result<Vec<Finding>, StoreError> {
        let plan = Plan {
            grace: self.backend().shortest_grace(),
            now: self.options().clock.now(),
            touch: if repair == Repair::Yes { Touch::Remove } else { Touch::DryRun },
        };
        let found = self
            .pool_lock(Sharing::Alone, repair)
            .run(move |catalog| {
                let mut leftovers = catalog.0.sweep(&plan, &mut |_| Ok(None))?.leftovers;
                leftovers.extend(catalog.0.tidy(&plan)?);
                Ok(leftovers)
            })
            .await;
        let (_, leftovers) = failed(found)?;
        let finding = |leftover: crate::backend::Leftover| {
            let what = "it was left behind by a writer that is gone";
            Finding::leftover(leftover.path.display(), what).repair("remove it", repair == Repair::Yes)
        };
        Ok(leftovers.into_iter().map(finding).collect())
    }

    fn pool_lock(&self, sharing: Sharing, repair: Repair) -> Locks {
        let turn = Turn::new(self.options().clone(), "the pool of blobs".to_owned());
        let key = match repair {
            Repair::Yes => LockKey::Pool(sharing),
            Repair::No => LockKey::PoolAsItIs(sharing),
        };
        Locks::new(self.backend().clone(), [key], &turn)
    }
}
