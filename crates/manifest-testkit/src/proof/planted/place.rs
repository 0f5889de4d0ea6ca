//! Paths and names of every kind.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::super::{Proved, Subject, ensure, tree};

/// The longest path that the system takes, in bytes.
const LONGEST_PATH: usize = 4095;

/// The longest name of one directory.
const LONGEST_PART: usize = 255;

/// From this length on paths of stores are tried.
const LONG: usize = LONGEST_PATH - 400;

/// Stores on paths of every kind.
pub(super) fn paths(subject: &Subject, stride: usize) -> Proved {
    let odd: [&[u8]; 6] = [
        b"with spaces",
        b"\xff\xfe not text \x80",
        b"new\nline",
        b"-dash",
        "größer/漢字".as_bytes(),
        b"a'b\"c$(d)",
    ];
    for part in odd {
        let store = subject.scratch().join("odd").join(PathBuf::from(OsString::from_vec(part.to_vec())));
        let works = works_at(subject, &store)?;
        ensure(works, || format!("no store can be made at {store:?}"))?;
    }
    let (mut longest, mut refused) = (0, 0);
    for length in (LONG..=LONGEST_PATH + 10).step_by(stride.max(1)) {
        let dir = subject.scratch().join(format!("long{length}"));
        if works_at(subject, &path_of(&dir, length))? {
            ensure(refused == 0, || {
                format!("a store on a path of {length} bytes works, though a shorter one does not")
            })?;
            longest = length;
        } else {
            refused += 1;
        }
        drop(fs::remove_dir_all(&dir));
    }
    ensure(longest > 0, || "no store on a long path works".to_owned())?;
    Ok(format!(
        "planted: {} odd paths hold a store; paths of up to {longest} bytes do, {refused} longer ones were refused and \
         nothing was left",
        odd.len()
    ))
}

/// A path of this length below `dir`.
fn path_of(dir: &Path, length: usize) -> PathBuf {
    let mut path = dir.to_owned();
    let size = |path: &Path| path.as_os_str().as_bytes().len();
    while size(&path) < length {
        let room = length - size(&path) - 1;
        // A part has at least one byte, and so has the next one after its slash.
        let part = if room > LONGEST_PART + 1 { LONGEST_PART } else { room.min(LONGEST_PART) };
        let part = if room - part == 1 { part - 1 } else { part };
        path.push("d".repeat(part.max(1)));
    }
    path
}

/// Whether a store works at a path: all of it works, or the first command is refused and leaves no list.
fn works_at(subject: &Subject, store: &Path) -> Result<bool, super::Violation> {
    let subject = subject.clone().at(store.as_os_str());
    let created = subject.run(["create", "one"]);
    if created.code != Some(0) {
        ensure(matches!(created.code, Some(2 | 12)), || format!("a store at an odd place\n{created:?}"))?;
        let kept = ["records", "names"].map(|dir| tree::files(&store.join(dir)));
        ensure(kept.concat().is_empty(), || format!("a refused command left {kept:?}\n{created:?}"))?;
        return Ok(false);
    }
    for line in [
        "tag one two",
        "annotate --index two --annotation a=b",
        "ls",
        "inspect one",
        "rm one",
        "create --replace two",
        "rm two",
    ] {
        subject.done(line.split(' '))?;
    }
    Ok(true)
}

/// Names up to the longest; those that differ only in case, or far behind.
pub(super) fn names(subject: &Subject) -> Proved {
    let subject = subject.clone().at(subject.scratch().join("names").as_os_str());
    let mut names: Vec<String> =
        ["a", "b.c", "a_b", "a/b", "a-b", "a--b", "a:b", "a:B"].map(str::to_owned).to_vec();
    for length in [100, 150, 199, 200, 201, 230, 239, 240, 244, 245, 246, 254, 255, 256, 300] {
        let long = "n".repeat(length);
        names.extend([
            long.clone(),
            format!("{long}:{}", "T".repeat(128)),
            format!("{long}:{}", "t".repeat(128)),
        ]);
        names.push(format!("{}/x", vec!["p"; length / 2].join("/")));
        names.push(format!("{}/y", vec!["p"; length / 2].join("/")));
    }
    names.sort_unstable();
    names.dedup();
    let mut accepted = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let note = format!("number={number}");
        let ran = subject.run(["create", name, "--annotation", &note]);
        match ran.code {
            Some(0) => accepted.push((name, note)),
            Some(2) => {}
            _ => return Err(super::Violation::new(format!("a name of {} bytes\n{ran:?}", name.len()))),
        }
    }
    for (name, note) in &accepted {
        subject.done(["annotate", "--index", name.as_str(), "--annotation", "again=yes"])?;
        let shown = subject.done(["inspect", name.as_str()])?;
        ensure(shown.contains(note.as_str()), || format!("{name} is not the list with {note}\n{shown}"))?;
    }
    let longest = accepted.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    Ok(format!(
        "planted: {} names of up to {longest} bytes, some of which differ only in case: each leads to its own list; {} longer \
         ones were refused",
        accepted.len(),
        names.len() - accepted.len()
    ))
}
