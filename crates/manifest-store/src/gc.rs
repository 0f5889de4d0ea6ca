//! Removing what no record holds.

mod marks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use manifest_core::{Digest, ListName, MAX_MANIFEST_SIZE};

use crate::backend::{Key, Leftover, LockKey, Plan, Stop, Swept, Touch, Version};
use crate::blobs::Verified;
use crate::catalog::{Catalog, Found, parse_binding};
use crate::held::{Held, Seen, walk};
use crate::lock::{Attempt, Sharing};
use crate::store::{Locks, Turn};
use crate::{Holder, Record, RecordId, Store, StoreError};

pub(crate) use marks::Marks;

/// What is to be collected.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Collect {
    /// How long a blob stays that no record holds. Zero removes it at once, and temporary files whose writers are gone, too.
    pub grace: Duration,
    /// Whether to find out only what would be removed.
    pub dry_run: bool,
    /// Whether somebody may be changing the store meanwhile; a directory has locks and does not ask.
    pub writers: Writers,
}

impl Default for Collect {
    fn default() -> Self {
        Self { grace: Duration::from_secs(24 * 60 * 60), dry_run: false, writers: Writers::Possible }
    }
}

/// Whether somebody may be changing a shared store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Writers {
    /// Somebody may.
    #[default]
    Possible,
    /// Nobody does; the caller knows.
    None,
}

/// How many things there are, and how large they are together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// In bytes.
    pub bytes: u64,
}

/// What was removed, or would be.
#[derive(Debug)]
#[non_exhaustive]
pub struct Collected {
    /// The blobs that no record held.
    pub blobs: Tally,
    /// The blobs that stay.
    pub kept: Tally,
    /// What was left behind by writers that are gone.
    pub temporary: Tally,
    /// The names that led nowhere.
    pub names: u64,
    /// Why no blob was removed: records, or manifests that they hold, that cannot be read. Nobody knows what they need.
    pub unreadable: Vec<StoreError>,
    /// Why no blob was removed: damaged records in `lost+found`, which may be put right and back with what they hold.
    pub set_aside: Vec<PathBuf>,
}

impl Tally {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(crate) fn of(leftovers: &[Leftover]) -> Self {
        let mut tally = Self::default();
        leftovers.iter().for_each(|leftover| tally.add(leftover.size));
        tally
    }
}

impl From<(u64, u64)> for Tally {
    fn from((count, bytes): (u64, u64)) -> Self {
        Self { count, bytes }
    }
}

impl Store {
    /// Removes the blobs that no record holds and that were there for longer than a grace, and what writers that are
    /// gone left behind.
    ///
    /// What somebody is just relying on stays ([`Intake`](crate::Intake)). When a record cannot be read, or was moved to
    /// `lost+found`, no blob is removed, since it may need any of them; the rest is. A dry run changes nothing, and serves
    /// where nothing can be changed.
    ///
    /// # Errors
    /// [`StoreError::Busy`]; [`StoreError::ShortGrace`]; what disks and services refuse.
    pub async fn collect(&self, what: Collect) -> Result<Collected, StoreError> {
        let turn = Turn::new(self.options().clone(), "the pool of blobs".to_owned());
        let plan = Plan {
            grace: what.grace,
            now: self.options().clock.now(),
            touch: if what.dry_run { Touch::DryRun } else { Touch::Remove },
        };
        let shortest = self.backend().shortest_grace();
        if what.writers == Writers::Possible && what.grace < shortest {
            return Err(StoreError::ShortGrace { grace: what.grace, shortest });
        }
        // Nothing is made where nothing is.
        if !self.read(|catalog| catalog.0.is_there()).await? {
            return Ok(Collected::nothing());
        }
        let pool = if what.dry_run { LockKey::PoolAsItIs } else { LockKey::Pool };
        let locks = Locks::new(self.backend().clone(), [pool(Sharing::Alone)], &turn);
        let swept = locks.run(move |catalog| Ok(sweep(catalog, &plan)?)).await;
        let (locks, (swept, marked)) = failed(swept)?;
        // Nobody waits for what follows.
        drop(locks);
        let note = Holder::note(&self.options().command, plan.now);
        self.read(move |catalog| {
            let names = leftover_names(catalog, &marked.records, plan.touch, &note)?;
            let mut leftovers = swept.leftovers;
            leftovers.extend(catalog.0.tidy(&plan)?);
            Ok(Collected {
                blobs: swept.removed.into(),
                kept: swept.kept.into(),
                temporary: Tally::of(&leftovers),
                names,
                unreadable: marked.unreadable,
                set_aside: marked.set_aside,
            })
        })
        .await
    }
}

impl Collected {
    const fn nothing() -> Self {
        let none = Tally { count: 0, bytes: 0 };
        Self {
            blobs: none,
            kept: none,
            temporary: none,
            names: 0,
            unreadable: Vec::new(),
            set_aside: Vec::new(),
        }
    }
}

/// What reading all records gave.
#[derive(Debug, Default)]
pub(crate) struct Marked {
    marks: Marks,
    /// The names that each lists.
    pub(crate) records: BTreeMap<RecordId, Vec<ListName>>,
    pub(crate) lists: u64,
    pub(crate) images: u64,
    pub(crate) unreadable: Vec<StoreError>,
    set_aside: Vec<PathBuf>,
}

/// Finds what is needed, and all that is not; what becomes of that is planned.
pub(crate) fn sweep(catalog: Catalog<'_>, plan: &Plan) -> Result<(Swept, Marked), StoreError> {
    let mut marked = Marked::default();
    let swept = catalog.0.sweep(plan, &mut |pins| {
        marked.all(catalog, pins)?;
        // After the records: one that is moved there meanwhile is found in one place or the other.
        marked.set_aside = catalog.0.records_set_aside()?;
        let is_known =
            marked.unreadable.is_empty() && marked.set_aside.is_empty() || plan.touch == Touch::Look;
        Ok(is_known.then(|| std::mem::take(&mut marked.marks)))
    })?;
    Ok((swept, marked))
}

impl Marked {
    /// Marks what is relied on, then what each record holds: whoever relied on something a moment ago has saved it by now.
    fn all(&mut self, catalog: Catalog<'_>, pins: Vec<Digest>) -> Result<(), StoreError> {
        let pins = pins.into_iter().map(Held::unknown).collect();
        self.walk(catalog, None, pins, &mut Seen::new())?;
        // What cannot be read is passed over above, but not where a record holds it: that is walked over once more.
        let mut seen = Seen::new();
        for id in catalog.0.all_ids()? {
            match catalog.read_raw(id) {
                Ok(Some(Found { record, .. })) => {
                    self.walk(catalog, Some(&record), record.held(), &mut seen)?;
                    *(if record.image().is_some() { &mut self.images } else { &mut self.lists }) += 1;
                    self.records.insert(id, record.listed().to_vec());
                }
                Ok(None) => {}
                Err(error @ (StoreError::Damaged { .. } | StoreError::NewerVersion { .. })) => {
                    self.unreadable.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        self.marks.settle();
        Ok(())
    }

    fn walk(
        &mut self,
        catalog: Catalog<'_>,
        record: Option<&Record>,
        roots: Vec<Held>,
        seen: &mut Seen,
    ) -> Result<(), StoreError> {
        let Self { marks, unreadable, .. } = self;
        walk(roots, seen, &mut |held| {
            marks.add(&held.digest);
            if !held.may_lead() {
                return Ok(None);
            }
            match children(catalog, record, held) {
                // What is only relied on is no manifest that anybody has saved.
                Err(error) if error.is_damage() => {
                    if record.is_some() {
                        unreadable.push(error);
                    }
                    // It is told once, whoever else holds it.
                    Ok(Some(Vec::new()))
                }
                other => other,
            }
        })
    }
}

/// What a blob holds that may be a manifest. What is missing, or was never called one and is none, holds nothing.
fn children(
    catalog: Catalog<'_>,
    record: Option<&Record>,
    held: &Held,
) -> Result<Option<Vec<Held>>, StoreError> {
    let bytes = match record.filter(|record| record.encoded().digest == held.digest) {
        Some(record) => record.encoded().bytes.clone(),
        None => {
            let Some(content) = Verified::open(catalog.0, held.digest)? else { return Ok(None) };
            if held.media_type.is_none() && content.size() > MAX_MANIFEST_SIZE as u64 {
                return Ok(None);
            }
            content.all(MAX_MANIFEST_SIZE)?
        }
    };
    held.children(&bytes)
        .map_err(|error| StoreError::damaged(catalog.0.blob_path(&held.digest), held.no_manifest(&error)))
}

/// Removes the files of names whose record is gone or does not list them; how many there are.
fn leftover_names(
    catalog: Catalog<'_>,
    records: &BTreeMap<RecordId, Vec<ListName>>,
    touch: Touch,
    note: &str,
) -> Result<u64, StoreError> {
    let mut count = 0;
    for file in catalog.0.name_files()? {
        let Ok(slot) = catalog.0.read(&Key::NameFile(file)) else { continue };
        let Some(Ok((id, name))) = slot.bytes.as_deref().map(parse_binding) else { continue };
        let Ok(name) = name.parse::<ListName>() else { continue };
        if !records.get(&id).is_some_and(|names| names.contains(&name))
            && remove_leftover(catalog, &name, touch, note)?
        {
            count += 1;
        }
    }
    Ok(count)
}

/// Removes the file of a name, if nobody is changing it and it still leads nowhere. Whether it does.
pub(crate) fn remove_leftover(
    catalog: Catalog<'_>,
    name: &ListName,
    touch: Touch,
    note: &str,
) -> Result<bool, StoreError> {
    if touch != Touch::Remove {
        return leads_nowhere(catalog, name).map(|version| version.is_some());
    }
    let Attempt::Held(_guard) = catalog.0.lock(&LockKey::Name(name.clone()), note)? else { return Ok(false) };
    let Some(version) = leads_nowhere(catalog, name)? else { return Ok(false) };
    match catalog.0.remove(&Key::Name(name.clone()), &version) {
        Ok(()) => Ok(true),
        Err(Stop::Again) => Ok(false),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// What was read of a name that has a file, but no record.
fn leads_nowhere(catalog: Catalog<'_>, name: &ListName) -> Result<Option<Version>, StoreError> {
    let (Some(id), version) = catalog.binding(name)? else { return Ok(None) };
    match catalog.read_raw(id) {
        Ok(Some(found)) if found.record.listed().contains(name) => Ok(None),
        Ok(_) => Ok(Some(version)),
        // A record that cannot be read may have the name.
        Err(error) if error.is_damage() => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn failed<T>(done: Result<T, Stop>) -> Result<T, StoreError> {
    done.map_err(|stop| match stop {
        Stop::Failed(error) => error,
        // Nothing that is done here starts again.
        Stop::Again => {
            StoreError::Io("use", "the pool of blobs".into(), std::io::ErrorKind::Interrupted.into())
        }
    })
}
