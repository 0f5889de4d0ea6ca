//! A store of several file systems: over another one, with mounts for its files and directories.
//!
//! What is written lies beside its target, so that a rename never leads to another file system.

use std::fs;
use std::path::{Path, PathBuf};

use manifest_core::Digest;

use super::counts::Counts;
use super::mount::Mount;
use super::{Machine, Scene, refused};
use crate::Image;
use crate::proof::facts::{inspected, listed};
use crate::proof::{Proved, Violation, ensure, fingerprint, tree};

/// How many edit one list at once whose files lie below.
const CROWD: usize = 6;

/// Options of a small file system.
const SMALL: &str = "size=16m,mode=0700";

/// The changes that are tried, one that brings content among them.
fn changes(scene: &Scene) -> Vec<Vec<String>> {
    let layout = layout(scene);
    let more: [&[&str]; 3] = [
        &["import", "image", "--oci-dir", &layout],
        &["rename", "app", "renamed"],
        &["create", "--replace", "app"],
    ];
    let more = more.map(|words| words.iter().map(|&word| word.to_owned()).collect());
    scene.changes().into_iter().chain(more).collect()
}

/// An image that can be imported.
fn layout(scene: &Scene) -> String {
    let dir = scene.subject.scratch().join("machine-layout");
    if !dir.exists() {
        Image::new("linux/amd64").layer("imported").write_layout(&dir, "v");
    }
    dir.to_string_lossy().into_owned()
}

/// The store is the lower directory of an overlay; the changes go to the same file system, to another one, or nowhere.
pub(super) fn overlay(scene: &Scene, _: &Machine) -> Proved {
    let memory = scene.subject.scratch().join("overlay");
    let _memory = Mount::tmpfs(&memory, "size=64m,mode=0700");
    let mut counts = Counts::default();
    for lower in [memory.join("lower"), scene.subject.scratch().join("overlay-lower")] {
        below(scene, &lower)?;
        let untouched = fingerprint::of_tree(&lower);
        let over = Overlay { scene, lower: &lower, memory: &memory };
        for (number, words) in changes(scene).iter().enumerate() {
            let (mount, store) = over.mount(&format!("change{number}"));
            counts.one(scene, &store, words, "over an overlay")?;
            scene.in_order(&store, &words.join(" "))?;
            drop(mount);
        }
        over.collect()?;
        over.crowd()?;
        let after = fingerprint::of_tree(&lower);
        ensure(after == untouched, || {
            format!("what lies below has changed\n{}", fingerprint::difference(&untouched, &after))
        })?;
    }
    ensure(counts.done > 0, || "nothing can be done over an overlay".to_owned())?;
    let mut closed = Counts::default();
    let store = memory.join("closed");
    let _closed = Mount::overlay(&memory.join("lower"), None, &store);
    for words in changes(scene) {
        closed.one(scene, &store, &words, "over an overlay without an upper directory")?;
    }
    ensure(closed.done == 0, || "an overlay without an upper directory was changed".to_owned())?;
    Ok(format!(
        "{}; gc and {CROWD} writers at once: nothing lost, the lower directory unchanged; without an upper \
         directory: {}",
        counts.figures(),
        closed.figures()
    ))
}

/// A store with content, some of which nobody needs.
fn below(scene: &Scene, lower: &Path) -> Result<(), Violation> {
    scene.lay(lower);
    let subject = scene.at(lower);
    subject.done(["import", "kept", "--oci-dir", &layout(scene)])?;
    let other = scene.subject.scratch().join("machine-other");
    Image::new("linux/arm64").layer("nobody needs it").write_layout(&other, "v");
    subject.done(["import", "dropped", "--oci-dir", &other.to_string_lossy()])?;
    subject.done(["rm", "dropped"]).map(drop)
}

/// What lies below, and where the changes go.
struct Overlay<'a> {
    scene: &'a Scene,
    lower: &'a Path,
    memory: &'a Path,
}

impl Overlay<'_> {
    /// A new view without any changes, which must be unmounted before the next one of that name is made.
    fn mount(&self, name: &str) -> (Mount, PathBuf) {
        let (store, upper) = (self.memory.join("store"), self.memory.join(name));
        fs::remove_dir_all(&upper).ok();
        (Mount::overlay(self.lower, Some(&upper), &store), store)
    }

    /// Collects what nobody needs of the lower directory.
    fn collect(&self) -> Result<(), Violation> {
        let (_mount, store) = self.mount("collect");
        let (subject, blobs) = (self.scene.at(&store), || tree::files(&store.join("blobs")).len());
        let (before, content) = (listed(&subject)?, blobs());
        subject.done(["gc", "--grace", "0"])?;
        ensure(blobs() < content, || "gc has found nothing over an overlay".to_owned())?;
        ensure(listed(&subject)? == before, || "gc has changed lists over an overlay".to_owned())?;
        self.scene.in_order(&store, "gc")
    }

    /// The first to lock a file of the lower directory makes another file of it.
    fn crowd(&self) -> Result<(), Violation> {
        let (_mount, store) = self.mount("crowd");
        let subject = self.scene.at(&store);
        std::thread::scope(|threads| {
            let edit = |at: usize| {
                let (subject, note) = (&subject, format!("crowd.{at}=here"));
                move || subject.done(["annotate", "--index", "app", "--annotation", &note])
            };
            let started: Vec<_> = (0..CROWD).map(|at| threads.spawn(edit(at))).collect();
            started
                .into_iter()
                .try_for_each(|thread| thread.join().expect("a writer that panicked").map(drop))
        })?;
        let notes = inspected(&subject, "app")?.notes;
        let kept = notes.keys().filter(|key| key.starts_with("crowd.")).count();
        ensure(kept == CROWD, || format!("of {CROWD} acknowledged edits {kept} are there: {notes:?}"))?;
        self.scene.in_order(&store, "a crowd")
    }
}

/// A file of the store is a mount point: nothing can take its place.
pub(super) fn bind(scene: &Scene, _: &Machine) -> Proved {
    let scratch = scene.subject.scratch();
    let (store, beside) = (scratch.join("bind"), scratch.join("bind-file"));
    let mut counts = Counts::default();
    for file in tree::files(&scene.template) {
        let file = file.strip_prefix(&scene.template).expect("a file of the template");
        for words in changes(scene) {
            scene.lay(&store);
            fs::copy(store.join(file), &beside).expect("a copy of a file");
            let mount = Mount::bind(&beside, &store.join(file));
            let where_ = format!("a mount over {}: {}", file.display(), words.join(" "));
            counts.one(scene, &store, &words, &where_)?;
            scene.in_order(&store, &where_)?;
            drop(mount);
        }
    }
    counts.told("a file that is a mount point", "each in turn")
}

/// A directory of the store is a file system of its own.
pub(super) fn directories(scene: &Scene, _: &Machine) -> Proved {
    let store = scene.subject.scratch().join("directories");
    let mut counts = Counts::default();
    for dir in ["records", "names", "locks", "blobs", "blobs/sha256", "intakes"] {
        for words in changes(scene) {
            scene.lay(&store);
            let mount = Mount::tmpfs(&store.join(dir), SMALL);
            if scene.template.join(dir).exists() {
                tree::copy(&scene.template.join(dir), &store.join(dir));
            }
            let where_ = format!("{dir} on a file system of its own: {}", words.join(" "));
            counts.one(scene, &store, &words, &where_)?;
            ensure(counts.refused == 0, || format!("{where_}: it was refused without need"))?;
            scene.in_order(&store, &where_)?;
            drop(mount);
        }
    }
    Ok(format!("a file system for each directory: {}", counts.figures()))
}

/// What is damaged cannot be moved to `lost+found`, since that is another file system.
pub(super) fn aside(scene: &Scene, _: &Machine) -> Proved {
    let store = scene.subject.scratch().join("aside");
    let subject = scene.at(&store);
    let damaged = ["records", "names", "cache", "blobs/sha256"];
    for dir in damaged {
        scene.lay(&store);
        let (victim, content) = damage(&store.join(dir));
        let seen = || fingerprint::of(&victim);
        let before = seen();
        let lost = store.join("lost+found");
        let mount = Mount::tmpfs(&lost, SMALL);
        refused(&subject.run(["fsck", "--repair"]), &store)?;
        ensure(seen() == before, || format!("{}: {before} became {}", victim.display(), seen()))?;
        ensure(tree::files(&lost).is_empty(), || "a part of it is in lost+found".to_owned())?;
        let ran = subject.run(["fsck"]);
        ensure(ran.code == Some(7), || format!("the damage is not told any more\n{ran:?}"))?;
        drop(mount);
        subject.done(["fsck", "--repair"])?;
        let moved = tree::files(&lost).iter().any(|file| fs::read(file).is_ok_and(|bytes| bytes == content));
        ensure(moved && seen() != before, || format!("{} was not moved aside", victim.display()))?;
    }
    Ok(format!(
        "lost+found on another file system: {} repairs refused with exit 12 and the path, 0 lost; done once it is gone",
        damaged.len()
    ))
}

/// Damages a file of a directory, or puts one there that is; and what it holds.
fn damage(dir: &Path) -> (PathBuf, Vec<u8>) {
    fs::create_dir_all(dir).expect("a directory");
    let mut files = tree::files(dir);
    files.sort_unstable();
    let victim = files.first().cloned().unwrap_or_else(|| dir.join(Digest::sha256(b"whole").hex()));
    fs::write(&victim, "damaged").expect("a file");
    (victim, b"damaged".to_vec())
}
