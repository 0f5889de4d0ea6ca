//! Two at once in a bucket, where nothing is locked: one command runs to its end between any two requests of another.
//!
//! What comes of that must be what comes of the two one after the other, in one order or the other: what each was told
//! and what is there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use manifest_core::{AnnotateList, OnConflict};
use manifest_store::object_store::memory::InMemory;
use manifest_store::object_store::path::Path;
use manifest_store::object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use manifest_store::{
    Draft, Force, HeldBy, IfTaken, Record, RecordId, Repair, Severity, Source, Store, StoreError,
    StoreOptions, UpdateError,
};

use crate::fixture::{add, draft, entry, name, source, which};

/// A command. Each is made through the door that everybody uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Create(&'static str),
    /// With an entry of the record `img`.
    CreateUsing(&'static str),
    Replace(&'static str),
    Tag(&'static str, &'static str),
    /// The record that has no name, by its id.
    Rescue(&'static str),
    Untag(&'static str),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    /// By its id, with all its names.
    RemoveAll(&'static str),
    /// What was not changed since just now.
    Prune,
    Hold(&'static str),
    Release(&'static str),
    HoldNameless,
    Add(&'static str),
    /// An entry of the record `img`.
    AddUsing(&'static str),
    Double(&'static str, &'static str),
    /// Brings back an entry of the record `img`.
    Undo(&'static str),
}

use Verb::{
    Add, AddUsing, Create, CreateUsing, Double, Hold, HoldNameless, Prune, Release, Remove, RemoveAll,
    Rename, Replace, Rescue, Tag, Undo, Untag,
};

const VERBS: [Verb; 23] = [
    Create("new"),
    CreateUsing("new"),
    Replace("app"),
    Tag("app", "new"),
    Rescue("new"),
    Untag("app"),
    Rename("app", "new"),
    Rename("app", "moved"),
    Rename("two", "new"),
    Remove("app"),
    Remove("img"),
    Remove("two"),
    RemoveAll("two"),
    Prune,
    Hold("app"),
    Release("two"),
    HoldNameless,
    Add("app"),
    AddUsing("app"),
    AddUsing("two"),
    Double("app", "new"),
    Double("two", "copy"),
    Undo("app"),
];

const NAMES: [&str; 8] = ["app", "two", "two:b", "img", "new", "moved", "copy", "nameless"];

/// What is there at first: `app`, whose last change took out an entry of `img`; `two` with two names, which somebody
/// holds; `img`; and one without a name.
#[derive(Clone)]
struct Start {
    objects: Arc<InMemory>,
    ids: Arc<BTreeMap<&'static str, RecordId>>,
}

impl Start {
    async fn new() -> Self {
        let objects = Arc::new(InMemory::new());
        let store = open(objects.clone());
        let mut ids = BTreeMap::new();
        for (text, n) in [("img", 1), ("app", 2), ("two", 4), ("nameless", 5)] {
            let made = store.create(&name(text), born(text, n), IfTaken::Refuse).await.unwrap();
            ids.insert(text, made.id());
        }
        let img = ids["img"];
        store.update_using(&which("app"), &[img], take(img)).await.unwrap();
        store.update(&which("app"), |draft| draft.list.remove(&entry(1).digest).map(drop)).await.unwrap();
        store.tag(&which("two"), &name("two:b")).await.unwrap();
        store.hold(&which("two"), "ci", None).await.unwrap();
        store.untag(&name("nameless")).await.unwrap();
        Self { objects, ids: Arc::new(ids) }
    }

    fn fork(&self) -> Self {
        Self { objects: Arc::new(self.objects.fork()), ids: self.ids.clone() }
    }
}

fn open(objects: Arc<dyn ObjectStore>) -> Store {
    let options = StoreOptions {
        lock_timeout: Duration::from_secs(3600),
        command: "manifest test".to_owned(),
        ..StoreOptions::default()
    };
    Store::from_objects(objects, "memory:", options).unwrap()
}

/// A list that can be told from others.
fn born(label: &str, n: usize) -> Draft {
    let mut draft = draft([n]);
    let annotations = [("born".to_owned(), label.to_owned())].into();
    draft.list.annotate_list(&AnnotateList { annotations, ..AnnotateList::default() });
    draft
}

/// An edit that takes the entry of `img`.
fn take(img: RecordId) -> impl Fn(&mut Draft) -> std::result::Result<(), Infallible> + Send {
    let source = Source { record: Some(img), ..source("img", entry(1).digest, &[1]) };
    move |draft| {
        draft.sources.add(source.clone());
        drop(draft.list.add(entry(1), OnConflict::Refuse));
        Ok(())
    }
}

/// Runs a command; what it told.
async fn run(verb: Verb, store: &Store, ids: &BTreeMap<&'static str, RecordId>) -> String {
    let told = match verb {
        Create(new) => store.create(&name(new), born("created", 6), IfTaken::Refuse).await.map(names),
        CreateUsing(new) => {
            let mut draft = born("using", 7);
            take(ids["img"])(&mut draft).unwrap();
            store.create(&name(new), draft, IfTaken::Refuse).await.map(names)
        }
        Replace(name_) => store.create(&name(name_), born("replaced", 8), IfTaken::Replace).await.map(names),
        Tag(old, new) => store.tag(&which(old), &name(new)).await.map(done),
        Rescue(new) => store.tag(&ids["nameless"].into(), &name(new)).await.map(names),
        Untag(old) => store.untag(&name(old)).await.map(done),
        Rename(old, new) => store.rename(&name(old), &name(new)).await.map(done),
        Remove(old) => {
            store.remove(&which(old), Force::No).await.map(|removed| format!("{:?}", removed.untagged))
        }
        RemoveAll(old) => store.remove(&ids[old].into(), Force::Yes).await.map(done),
        Prune => prune(store).await,
        Hold(list) => store.hold(&which(list), "me", None).await.map(done),
        Release(list) => store.release(&which(list), "ci").await.map(done),
        HoldNameless => store.hold(&ids["nameless"].into(), "me", None).await.map(done),
        Add(list) => unless_edit(store.update(&which(list), add(9)).await),
        AddUsing(list) => {
            let img = ids["img"];
            unless_edit(store.update_using(&which(list), &[img], take(img)).await)
        }
        Double(old, new) => store.copy(&which(old), &name(new), IfTaken::Refuse).await.map(names),
        Undo(list) => store.undo(&which(list), None).await.map(done),
    };
    match told {
        Ok(told) => told,
        Err(
            StoreError::NotFound(_)
            | StoreError::NameTaken { .. }
            | StoreError::Held { .. }
            | StoreError::NothingToUndo(_),
        ) => "refused".to_owned(),
        Err(error) => panic!("{verb:?} failed: {error:?}"),
    }
}

fn names(record: Record) -> String {
    format!("{:?}", record.names())
}

fn done<T>(_: T) -> String {
    "done".to_owned()
}

fn unless_edit<T, E: fmt::Debug>(
    updated: std::result::Result<T, UpdateError<E>>,
) -> std::result::Result<String, StoreError> {
    match updated {
        Ok(_) => Ok("done".to_owned()),
        Err(UpdateError::Store(error)) => Err(error),
        Err(UpdateError::Edit(error)) => panic!("{error:?}"),
    }
}

async fn prune(store: &Store) -> std::result::Result<String, StoreError> {
    for record in store.stale(Timestamp::MAX).await? {
        store.remove_stale(record?.id(), Timestamp::MAX).await?;
    }
    Ok("done".to_owned())
}

/// What is there: of each record what it was born as, its names, entries, holds, whether it uses `img`, and what its
/// history tells.
fn world(records: &[Record], img: RecordId) -> World {
    let mut world: World = records.iter().map(|record| seen(record, img)).collect();
    world.sort();
    world
}

type World = Vec<String>;

fn seen(record: &Record, img: RecordId) -> String {
    let list = record.list().unwrap();
    let mut entries: Vec<u64> = list.entries().iter().map(|entry| entry.size - 400).collect();
    entries.sort_unstable();
    let names: BTreeSet<String> = record.names().iter().map(ToString::to_string).collect();
    let by_name = |hold: &&manifest_store::Hold| matches!(hold.by, HeldBy::Name(_));
    let holds: Vec<String> = record.holds().iter().filter(by_name).map(|hold| hold.by.to_string()).collect();
    let uses = if record.uses(img) { "uses img" } else { "" };
    let history = record.history().changes();
    let edits = history.iter().filter(|change| change.before != Some(change.after)).count();
    let came: BTreeSet<_> =
        history.iter().flat_map(|change| &change.tagged).map(ToString::to_string).collect();
    let went: BTreeSet<_> =
        history.iter().flat_map(|change| &change.untagged).map(ToString::to_string).collect();
    format!(
        "{}: {names:?} {entries:?} {holds:?} {uses}; {edits} edits, {came:?} came, {went:?} went",
        list.annotations()["born"]
    )
}

async fn records(store: &Store) -> Vec<Record> {
    store.records().await.unwrap().into_iter().map(std::result::Result::unwrap).collect()
}

/// What must hold of every store at rest.
async fn is_sound(store: &Store, records: &[Record], img: RecordId) -> std::result::Result<(), String> {
    for text in NAMES {
        let has = |record: &&Record| record.names().contains(&name(text));
        let holders: Vec<RecordId> = records.iter().filter(has).map(Record::id).collect();
        match store.load(&which(text)).await {
            Ok(record) if holders == [record.id()] => {}
            Err(StoreError::NotFound(_)) if holders.is_empty() => {}
            found => return Err(format!("{text} leads to {found:?}, and {holders:?} have it")),
        }
    }
    if let Some(image) = records.iter().find(|record| record.id() == img) {
        let holders = store.holders(image).await.unwrap();
        if records.iter().any(|user| user.uses(img) && !holders.contains(&HeldBy::List(user.id()))) {
            return Err("a record is used by a list that does not hold it".to_owned());
        }
    }
    let report = store.check(Repair::No).await.unwrap();
    if let Some(damage) = report.findings.iter().find(|finding| finding.severity == Severity::Damage) {
        return Err(format!("{damage:?}"));
    }
    if report.findings.is_empty() {
        return Ok(());
    }
    // What is left over does not come back with the next change of names.
    for (at, record) in records.iter().enumerate() {
        let probe = name(&format!("probe:{at}"));
        let tagged = store.tag(&record.id().into(), &probe).await.unwrap();
        if tagged.names().iter().any(|name| *name != probe && !record.names().contains(name)) {
            return Err(format!("{:?} comes back beside {:?}", tagged.names(), record.names()));
        }
    }
    Ok(())
}

/// What two commands told, and what is there after them.
type Outcome = (String, String, World);

async fn one_after_the_other(start: &Start, first: Verb, second: Verb) -> Outcome {
    let Start { objects, ids } = start.fork();
    let store = open(objects);
    let (first, second) = (run(first, &store, &ids).await, run(second, &store, &ids).await);
    (first, second, world(&records(&store).await, ids["img"]))
}

/// Lets `other` run before the request `at` of `one`; what came of it. None when `one` makes fewer requests.
async fn one_inside_the_other(
    start: &Start,
    one: Verb,
    other: Verb,
    at: usize,
) -> Option<(Outcome, Verdict)> {
    let Start { objects, ids } = start.fork();
    let (beside, others) = (objects.clone(), ids.clone());
    let meddle = move || {
        // A process of its own.
        let run = move || runtime().block_on(run(other, &open(beside), &others));
        std::thread::spawn(run).join().unwrap()
    };
    let meddler = Arc::new(Meddler {
        objects: objects.clone(),
        plan: Mutex::new(Plan { left: at, has_begun: false, meddle: Some(Box::new(meddle)), told: None }),
    });
    let store = open(meddler.clone());
    let told = run(one, &store, &ids).await;
    let meddled = meddler.plan.lock().unwrap().told.take()?;
    let (records, img) = (records(&store).await, ids["img"]);
    Some(((told, meddled, world(&records, img)), is_sound(&store, &records, img).await))
}

type Verdict = std::result::Result<(), String>;

/// Whose pauses take no time.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn whatever_runs_between_two_requests_of_a_command_runs_before_or_after_it() {
    let start = runtime().block_on(Start::new());
    let pairs = VERBS.iter().flat_map(|one| VERBS.iter().map(|other| (*one, *other)));
    let pairs = Mutex::new(pairs.filter(|(one, other)| one <= other).collect::<Vec<_>>());
    let (runs, wrong) = (Mutex::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                let runtime = runtime();
                loop {
                    let Some((one, other)) = pairs.lock().unwrap().pop() else { break };
                    let (count, told) = runtime.block_on(explore(&start, one, other));
                    *runs.lock().unwrap() += count;
                    wrong.lock().unwrap().extend(told);
                }
            });
        }
    });
    let (wrong, runs) = (wrong.into_inner().unwrap(), runs.into_inner().unwrap());
    assert!(wrong.is_empty(), "{} of {runs} runs:\n{}", wrong.len(), wrong.join("\n"));
    assert!(runs > 1000, "{runs}");
}

/// Lets each of two run at every point of the other: how many runs that were, and what was wrong.
async fn explore(start: &Start, one: Verb, other: Verb) -> (usize, Vec<String>) {
    let one_first = one_after_the_other(start, one, other).await;
    let (told, earlier, world) = one_after_the_other(start, other, one).await;
    let other_first = (earlier, told, world);
    let swapped = |(one, other, world): &Outcome| (other.clone(), one.clone(), world.clone());
    let (mut runs, mut wrong) = (0, Vec::new());
    let both = [
        (one, other, [one_first.clone(), other_first.clone()]),
        (other, one, [swapped(&one_first), swapped(&other_first)]),
    ];
    for (outer, inner, right) in both {
        for at in 0.. {
            let Some((outcome, verdict)) = one_inside_the_other(start, outer, inner, at).await else { break };
            runs += 1;
            let is_right = if right.contains(&outcome) {
                Ok(())
            } else {
                Err(format!("{outcome:#?} is none of {right:#?}"))
            };
            if let Err(what) = verdict.and(is_right) {
                wrong.push(format!("{inner:?} before request {at} of {outer:?}: {what}"));
            }
        }
        if one == other {
            break;
        }
    }
    (runs, wrong)
}

type Meddle = Box<dyn FnOnce() -> String + Send>;

/// Objects in memory, and somebody who comes between two requests.
struct Meddler {
    objects: Arc<InMemory>,
    plan: Mutex<Plan>,
}

/// What is done when, and what came of it.
struct Plan {
    /// How many requests come before. The first writes: what is read before that does no harm unless it is old by then.
    left: usize,
    has_begun: bool,
    meddle: Option<Meddle>,
    told: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    Reads,
    Writes,
}

impl Meddler {
    fn step(&self, request: Request) {
        let mut plan = self.plan.lock().unwrap();
        plan.has_begun |= request == Request::Writes;
        if !plan.has_begun || plan.meddle.is_none() {
            return;
        }
        match plan.left.checked_sub(1) {
            Some(left) => plan.left = left,
            None => plan.told = plan.meddle.take().map(|meddle| meddle()),
        }
    }
}

#[async_trait]
impl ObjectStore for Meddler {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.step(Request::Writes);
        self.objects.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.step(Request::Reads);
        self.objects.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.step(Request::Writes);
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.step(Request::Reads);
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.step(Request::Reads);
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.step(Request::Writes);
        self.objects.copy_opts(from, to, options).await
    }
}

impl fmt::Display for Meddler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory with a meddler")
    }
}

impl fmt::Debug for Meddler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
