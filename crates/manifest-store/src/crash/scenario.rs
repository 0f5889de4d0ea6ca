//! Who does what to which lists.

use std::sync::Arc;

use jiff::Timestamp;

use super::disk::{Disk, Order};
use super::files::Handle;
use super::gate::{Gate, Labels};
use super::image::Image;
use super::world::{Listed, Name, Op, World};
use super::writer::{backend, draft, name};
use crate::RecordId;
use crate::backend::Backend as _;
use crate::catalog::{Catalog, Creation, Last, Renaming};
use crate::record::{Record, Stamp};

/// Writers and the lists that are there when they begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) about: &'static str,
    /// The lists that are there, each with the mark that it was born with, its names and its entries.
    lists: &'static [(Name, &'static [Name], &'static [u64])],
    pub(super) writers: &'static [&'static [Op]],
    /// Whether one writer may be killed while the others go on.
    pub(super) kills: usize,
    /// How much the disk mixes up.
    order: Order,
}

/// The list that most are about.
const APP: (Name, &[Name], &[u64]) = ("first", &["app"], &[1]);

/// Another one.
const OTHER: (Name, &[Name], &[u64]) = ("second", &["other"], &[2]);

/// Three writers each.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        about: "edits of one list",
        lists: &[APP],
        writers: &[&[Op::Add("app", 11)], &[Op::Take("app", 1)], &[Op::Annotate("app", "note")]],
        kills: 0,
        order: Order::Free,
    },
    Scenario {
        about: "edits of three lists",
        lists: &[APP, OTHER, ("third", &["more"], &[])],
        writers: &[&[Op::Add("app", 11)], &[Op::Hold("other", "ci")], &[Op::Annotate("more", "note")]],
        kills: 0,
        order: Order::Free,
    },
    Scenario {
        about: "the names of one list",
        lists: &[("first", &["app", "also"], &[])],
        writers: &[&[Op::Tag("app", "new")], &[Op::Rename("also", "moved")], &[Op::Untag("app")]],
        kills: 0,
        order: Order::Free,
    },
    Scenario {
        about: "one name for two lists",
        lists: &[APP, OTHER],
        writers: &[&[Op::Rename("app", "new")], &[Op::Rename("other", "new")], &[Op::Rename("new", "app")]],
        kills: 0,
        order: Order::Free,
    },
    Scenario {
        about: "an edit that finds itself done",
        lists: &[APP],
        writers: &[&[Op::Add("app", 11)], &[Op::Add("app", 11)]],
        kills: 1,
        order: Order::Free,
    },
    Scenario {
        about: "a store that is not there",
        lists: &[],
        writers: &[&[Op::Create("app", "a")], &[Op::Create("app", "b")], &[Op::Create("other", "c")]],
        kills: 0,
        order: Order::Free,
    },
    Scenario {
        about: "a name that new lists take over",
        lists: &[APP],
        writers: &[&[Op::Replace("app", "a")], &[Op::Replace("app", "b")], &[Op::Add("app", 11)]],
        kills: 0,
        order: Order::Free,
    },
    Scenario {
        about: "a list that is held and removed",
        lists: &[APP],
        writers: &[
            &[Op::Remove("app")],
            &[Op::Hold("app", "ci"), Op::Release("app", "ci")],
            &[Op::Add("app", 11)],
        ],
        kills: 0,
        order: Order::Free,
    },
    Scenario {
        about: "a list that another one uses",
        lists: &[APP, OTHER],
        writers: &[&[Op::Use("app", "other", 2)], &[Op::Remove("other")], &[Op::Remove("app")]],
        kills: 0,
        // What is removed because its user was removed must not be gone before it; nothing but the journal sees to
        // that as long as neither removal was synced.
        order: Order::Kept,
    },
    Scenario {
        about: "a name that is given up and taken",
        lists: &[APP, OTHER],
        writers: &[&[Op::Untag("app")], &[Op::Create("app", "a")], &[Op::Tag("other", "app")]],
        kills: 0,
        order: Order::Free,
    },
    Scenario {
        about: "a name that goes from one list to another",
        lists: &[APP, OTHER],
        writers: &[
            &[Op::TakeName("app", "other")],
            &[Op::TakeName("other", "app")],
            &[Op::Rename("other", "new")],
        ],
        kills: 0,
        order: Order::Free,
    },
    Scenario {
        about: "everything",
        lists: &[APP, OTHER],
        writers: &[
            &[Op::Create("new", "a"), Op::Add("new", 11), Op::Tag("new", "newer")],
            &[Op::Rename("app", "old"), Op::Annotate("old", "note"), Op::Take("old", 1)],
            &[Op::Hold("other", "ci"), Op::Release("other", "ci"), Op::Remove("other")],
        ],
        kills: 0,
        order: Order::Free,
    },
    Scenario {
        about: "a writer that is killed",
        lists: &[APP],
        writers: &[&[Op::Add("app", 11)], &[Op::Annotate("app", "note")], &[Op::Tag("app", "new")]],
        kills: 1,
        order: Order::Free,
    },
];

/// Changes that somebody makes alone, each on top of some lists.
pub(super) const ALONE: &[(Scenario, Op)] = &[
    (alone(&[]), Op::Create("app", "a")),
    (alone(&[APP]), Op::Create("new", "a")),
    (alone(&[APP]), Op::Replace("app", "a")),
    (alone(&[APP]), Op::Add("app", 11)),
    (alone(&[APP]), Op::Annotate("app", "note")),
    (alone(&[APP]), Op::Take("app", 1)),
    (alone(&[APP, OTHER]), Op::Use("app", "other", 2)),
    (alone(&[APP]), Op::Hold("app", "ci")),
    (alone(&[APP]), Op::Tag("app", "new")),
    (alone(&[APP]), Op::Untag("app")),
    (alone(&[APP]), Op::Rename("app", "new")),
    (alone(&[APP]), Op::Remove("app")),
    (alone(&[APP, OTHER]), Op::TakeName("app", "other")),
    (alone(&[APP]), Op::TakeName("app", "new")),
];

const fn alone(lists: &'static [(Name, &'static [Name], &'static [u64])]) -> Scenario {
    Scenario { about: "", lists, writers: &[], kills: 0, order: Order::Free }
}

impl Scenario {
    /// What is there at first.
    pub(super) fn world(&self) -> World {
        let listed = |names: &[Name], entries: &[u64]| Listed {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            entries: entries.iter().copied().collect(),
            ..Listed::default()
        };
        World(
            self.lists
                .iter()
                .map(|(born, names, entries)| ((*born).to_owned(), listed(names, entries)))
                .collect(),
        )
    }

    /// A disk with that on it, and what is the same on it in every run.
    pub(super) fn disk(&self) -> (Disk, Labels) {
        let gate = Arc::new(Gate::free(Disk::default()));
        let local = backend(Box::new(Handle::new(&gate, 0)));
        let (catalog, stamp) = (Catalog(&local), Stamp::new(Timestamp::UNIX_EPOCH, "test"));
        let mut ids = Vec::new();
        for (at, (born, names, entries)) in self.lists.iter().enumerate() {
            // Ids that come before all random ones, so that locks are always taken in the same order.
            let id: RecordId = format!("{:0>64}", format!("a{at}")).parse().unwrap();
            let mut names = names.iter().map(|text| name(text));
            let first = names.next().unwrap();
            let new = draft(born, entries).try_into().unwrap();
            let record = Record::new(id, first.clone(), new, &stamp).unwrap();
            local.prepare().unwrap();
            catalog.create(Creation { record, name: first.clone(), old: None }, &stamp).unwrap();
            for more in names {
                let renaming = Renaming { id, gets: Some(more), loses: None, last: Last::Goes };
                catalog.rename(&renaming, &first.clone().into(), &stamp).unwrap();
            }
            ids.push(id.to_string());
        }
        let mut disk = Disk::holding(&Image::seen(&gate.machine().disk));
        disk.order = self.order;
        (disk, Labels::of(ids.into_iter()))
    }
}
