//! A disk that has no room, or may not be written.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::counts::Counts;
use super::mount::Mount;
use super::{Machine, Scene, refused, system};
use crate::Ran;
use crate::proof::facts::listed;
use crate::proof::{Proved, ensure};

/// How large the full file system is, in bytes.
const SIZE: usize = 1 << 20;
/// How many files the other one has at most.
const INODES: usize = 40;

/// Room for 0, 4, 8 … KiB.
pub(super) fn full(scene: &Scene, size: &Machine) -> Proved {
    let dir = scene.subject.scratch().join("full");
    let mount = Mount::tmpfs(&dir, &format!("size={SIZE},mode=0700"));
    let store = dir.join("store");
    let mut counts = Counts::default();
    for room in (0..=size.room.min(SIZE)).step_by(size.step.max(1)) {
        for words in scene.changes() {
            fs::remove_file(dir.join("ballast")).ok();
            scene.lay(&store);
            leave(&dir.join("ballast"), room);
            counts.one(scene, &store, &words, &format!("room for {room} bytes"))?;
        }
    }
    drop(mount);
    counts.told("a tmpfs of 1 MiB", &format!("{} steps of {} bytes", size.room / size.step.max(1), size.step))
}

/// Fills the file system until this much is left.
fn leave(ballast: &Path, room: usize) {
    let mut file = fs::File::create(ballast).expect("a file");
    let page = [1_u8; 4096];
    while file.write_all(&page).is_ok() {}
    let full = file.metadata().expect("a file has a size").len();
    file.set_len(full.saturating_sub(room as u64)).expect("a file can be shortened");
}

/// Room for 0, 1, 2 … files.
pub(super) fn inodes(scene: &Scene, _: &Machine) -> Proved {
    let dir = scene.subject.scratch().join("inodes");
    let _mount = Mount::tmpfs(&dir, &format!("size=16m,nr_inodes={INODES},mode=0700"));
    let store = dir.join("store");
    let mut counts = Counts::default();
    for room in 0..8 {
        for words in scene.changes() {
            fs::remove_dir_all(dir.join("ballast")).ok();
            scene.lay(&store);
            fs::create_dir(dir.join("ballast")).expect("a directory");
            let file = |at: usize| dir.join(format!("ballast/{at}"));
            let made = (0..INODES).take_while(|at| fs::File::create(file(*at)).is_ok()).count();
            (made.saturating_sub(room)..made).for_each(|at| fs::remove_file(file(at)).expect("a file goes"));
            counts.one(scene, &store, &words, &format!("room for {room} files"))?;
        }
    }
    counts.told("a tmpfs of few files", "room for 0 to 7 of them")
}

/// A store that can be read but not written.
pub(super) fn readonly(scene: &Scene, _: &Machine) -> Proved {
    let (writable, store) =
        (scene.subject.scratch().join("writable"), scene.subject.scratch().join("readonly"));
    scene.lay(&writable);
    let _mount = Mount::readonly(&writable, &store);
    let mut counts = Counts::default();
    for words in scene.changes() {
        counts.one(scene, &store, &words, "a read-only mount")?;
    }
    let none = scene.subject.scratch().join("readonly/nothing/here");
    refused(&scene.at(&none).run(["create", "new"]), &store)?;
    ensure(counts.done == 0, || "a read-only store was changed".to_owned())?;
    counts.told("a read-only mount", "readers work")
}

/// Files and directories that even root may not change.
pub(super) fn immutable(scene: &Scene, _: &Machine) -> Proved {
    let store = scene.subject.scratch().join("immutable");
    let mut counts = Counts::default();
    for what in ["", "records", "names", "locks", "records/*", "names/*", "locks/*", "version"] {
        for words in scene.changes() {
            scene.lay(&store);
            let paths = matching(&store, what);
            for path in &paths {
                system(&["chattr", "+i", &path.to_string_lossy()]);
            }
            let counted = counts.one(scene, &store, &words, &format!("chattr +i {what:?}"));
            for path in &paths {
                system(&["chattr", "-i", &path.to_string_lossy()]);
            }
            counted?;
        }
    }
    counts.told("immutable files", "directories, records, names, locks")
}

fn matching(store: &Path, what: &str) -> Vec<PathBuf> {
    match what.strip_suffix("/*") {
        Some(dir) => crate::proof::tree::files(&store.join(dir)),
        None => vec![store.join(what)],
    }
}

/// No file may have more than this many bytes.
pub(super) fn file_size(scene: &Scene, size: &Machine) -> Proved {
    let store = scene.subject.scratch().join("filesize");
    let mut counts = Counts::default();
    for limit in (0..=size.room.min(24 << 10)).step_by(size.step.max(1) / 4) {
        for words in scene.changes() {
            scene.lay(&store);
            let before = listed(&scene.at(&store))?;
            let (prlimit, limit) = (crate::program("prlimit"), format!("--fsize={limit}:{limit}"));
            let wrapped = [prlimit.as_os_str(), limit.as_ref(), scene.subject.program().as_os_str()];
            let ran = Ran::of(&mut scene.at(&store).command_of(wrapped, &words));
            counts.judged(scene, &store, &before, &ran, &limit)?;
        }
    }
    counts.told("a limit of the size of files", "stepped from 0")
}
