//! What a store must be found to be.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use manifest_core::ListName;

use super::disk::Disk;
use super::files::Handle;
use super::gate::{Gate, OUTSIDER, hash};
use super::image::Image;
use super::world::{Done, Listed, Op, World};
use super::writer::{draft, name, perform, runtime, store, which};
use crate::{Force, HeldBy, IfTaken, Record, RecordId, Store, StoreError};

/// Opens stores and looks at them.
#[derive(Debug)]
pub(super) struct Inspector {
    runtime: tokio::runtime::Runtime,
    /// Disks, each with what it was found to be one of; neither is looked at again.
    checked: RefCell<BTreeSet<(u64, u64)>>,
    changes: usize,
}

/// All names that a scenario may have used.
pub(super) const NAMES: [&str; 8] = ["also", "app", "more", "moved", "new", "newer", "old", "other"];

impl Inspector {
    /// One that makes the next change under so many names of each disk.
    pub(super) fn new(changes: usize) -> Self {
        Self { runtime: runtime(), checked: RefCell::default(), changes }
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// How many disks were checked, each with each set of worlds.
    pub(super) fn checks(&self) -> usize {
        self.checked.borrow().len()
    }

    /// Checks a disk: everything on it can be read, it holds one of these worlds, and the next changes work.
    pub(super) fn check(&self, mark: u64, image: &Image, worlds: &BTreeSet<World>) -> Result<(), String> {
        if !self.checked.borrow_mut().insert((mark, hash(worlds))) {
            return Ok(());
        }
        let gate = Arc::new(Gate::free(Disk::holding(image)));
        let store = store(Box::new(Handle::new(&gate, OUTSIDER)));
        self.block_on(async {
            let found = observe(&store).await?;
            if !worlds.contains(&found) {
                return Err(format!("{found:?} is found, which is none of {worlds:?}"));
            }
            names_lead_to_their_records(&store, &found).await?;
            let problem = |error: StoreError| format!("the next change fails: {error:?}");
            // Which names is a matter of chance, but the same in every run.
            let first = usize::try_from(mark % NAMES.len() as u64).unwrap();
            let names: Vec<_> = NAMES.iter().cycle().skip(first).take(self.changes).copied().collect();
            if found != observe_after_changes(&store, &found, &names).await.map_err(problem)?? {
                return Err("an edit changed more than it should".to_owned());
            }
            everything_can_be_removed(&store).await.map_err(problem)?
        })
    }
}

/// What a store holds.
async fn observe(store: &Store) -> Result<World, String> {
    let records =
        store.records().await.map_err(|error| format!("the records cannot be listed: {error:?}"))?;
    let records: Vec<Record> = records
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| format!("a record cannot be read: {error:?}"))?;
    let born: BTreeMap<RecordId, String> =
        records.iter().map(|record| Ok((record.id(), born(record)?))).collect::<Result<_, String>>()?;
    let mut world = World::default();
    for record in &records {
        let listed = listed(record, &born);
        for used in record.used().filter(|used| born.contains_key(used)) {
            let used = records.iter().find(|other| other.id() == used).unwrap();
            let holders = store.holders(used).await.map_err(|error| format!("{error:?}"))?;
            if !holders.contains(&HeldBy::List(record.id())) {
                return Err("a record is used by a list that does not hold it".to_owned());
            }
        }
        if world.0.insert(born[&record.id()].clone(), listed).is_some() {
            return Err("there are two records of one list".to_owned());
        }
    }
    Ok(world)
}

fn born(record: &Record) -> Result<String, String> {
    let list = record.list().map_err(|error| format!("{error:?}"))?;
    list.annotations().get("born").cloned().ok_or_else(|| "there is a record that nobody made".to_owned())
}

fn listed(record: &Record, born: &BTreeMap<RecordId, String>) -> Listed {
    let list = record.list().unwrap();
    let version =
        |entry: &manifest_core::Descriptor| entry.platform.as_ref()?.os_version.as_ref()?.parse().ok();
    let by = |hold: &crate::Hold| match &hold.by {
        HeldBy::Name(name) => Some(name.clone()),
        HeldBy::List(_) => None,
    };
    Listed {
        names: record.names().iter().map(short).collect(),
        entries: list.entries().iter().filter_map(version).collect(),
        notes: list.annotations().keys().filter(|key| *key != "born").cloned().collect(),
        holds: record.holds().iter().filter_map(by).collect(),
        uses: record
            .used()
            .map(|used| born.get(&used).cloned().unwrap_or_else(|| "gone".to_owned()))
            .collect(),
    }
}

fn short(name: &ListName) -> String {
    name.to_string().trim_start_matches("localhost/").trim_end_matches(":latest").to_owned()
}

/// What is found by name is what is found among all.
async fn names_lead_to_their_records(store: &Store, world: &World) -> Result<(), String> {
    for text in NAMES {
        let found = match store.load(&which(text)).await {
            Ok(record) => Some(born(&record)?),
            Err(StoreError::NotFound(_)) => None,
            Err(error) => return Err(format!("{text} cannot be looked up: {error:?}")),
        };
        if found.as_deref() != world.named(text) {
            return Err(format!("{text} leads to {found:?} in {world:?}"));
        }
    }
    Ok(())
}

/// Adds an entry to the list of each name and takes it out again; under a name that is free creates and removes one.
async fn observe_after_changes(
    store: &Store,
    world: &World,
    names: &[&'static str],
) -> Result<Result<World, String>, StoreError> {
    for &text in names {
        if world.named(text).is_some() {
            for op in [Op::Add(text, 900), Op::Take(text, 900)] {
                perform(store, op).await?;
            }
        } else {
            let made = store.create(&name(text), draft("next", &[]), IfTaken::Refuse).await?;
            assert_eq!(store.load(&which(text)).await?.id(), made.id(), "what was created is not found");
            let removed = perform(store, Op::Remove(text)).await?;
            assert_eq!(removed, Done::Made, "what was created has other names");
        }
    }
    Ok(observe(store).await)
}

/// Gives every record that lost its names a new one, and removes all records.
async fn everything_can_be_removed(store: &Store) -> Result<Result<(), String>, StoreError> {
    let all: Vec<RecordId> = store
        .records()
        .await?
        .into_iter()
        .map(|record| Ok(record?.id()))
        .collect::<Result<_, StoreError>>()?;
    for (at, id) in all.iter().enumerate() {
        let rescued = name(&format!("rescued{at}"));
        store.tag(&(*id).into(), &rescued).await?;
        if store.load(&(&rescued).into()).await?.id() != *id {
            return Ok(Err("a record does not get a name".to_owned()));
        }
    }
    for id in all {
        store.remove(&id.into(), Force::Yes).await?;
    }
    for text in NAMES {
        if store.exists(&which(text)).await? {
            return Ok(Err(format!("{text} is still there when all is removed")));
        }
    }
    Ok(if store.records().await?.is_empty() { Ok(()) } else { Err("records cannot be removed".to_owned()) })
}
