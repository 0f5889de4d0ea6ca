//! Somebody else's store, or nobody's home.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Machine, Scene, refused, system};
use crate::proof::facts::listed;
use crate::proof::{Proved, Subject, ensure};
use crate::{Ran, program};

/// A user who owns nothing.
const NOBODY: &str = "65534";

/// The program, where everybody may start it.
fn public_copy(scene: &Scene) -> PathBuf {
    let dir = scene.subject.scratch();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o711)).expect("the directory is ours");
    let copy = dir.join("program-for-all");
    if !copy.exists() {
        fs::copy(scene.subject.program(), &copy).expect("a copy of the program");
    }
    copy
}

/// Runs the program as a user who owns nothing.
fn as_nobody(subject: &Subject, copy: &Path, words: &[&str]) -> Ran {
    let setpriv = program("setpriv");
    let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
    let options = [OsStr::new(&user), OsStr::new(&group), OsStr::new("--clear-groups")];
    let before = [setpriv.as_os_str()].into_iter().chain(options).chain([copy.as_os_str()]);
    Ran::of(&mut subject.command_of(before, words))
}

/// A store of root, used by another user: closed to him, or open for reading.
pub(super) fn owner(scene: &Scene, _: &Machine) -> Proved {
    let (copy, store) = (public_copy(scene), scene.subject.scratch().join("owned"));
    let (subject, mut refusals) = (scene.at(&store), 0);
    for mode in ["0700", "a+rX"] {
        scene.lay(&store);
        system(&["chmod", "-R", "go=", &store.to_string_lossy()]);
        if mode != "0700" {
            system(&["chmod", "-R", mode, &store.to_string_lossy()]);
        }
        let before = listed(&subject)?;
        // What asks for no image: those of the proof are not his to read.
        for words in [
            &["create", "new"][..],
            &["annotate", "--index", "app", "--annotation", "a=b"],
            &["tag", "app", "new"],
            &["rm", "app"],
        ] {
            refused(&as_nobody(&subject, &copy, words), &store)?;
            ensure(listed(&subject)? == before, || format!("{words:?} changed a store of somebody else"))?;
            refusals += 1;
        }
        let ran = as_nobody(&subject, &copy, &["inspect", "app"]);
        if mode == "0700" {
            refused(&ran, &store)?;
        } else {
            ensure(ran.code == Some(0), || format!("who may read the store cannot\n{ran:?}"))?;
        }
    }
    Ok(format!(
        "a store of another user, closed or readable: {refusals} changes refused with exit 12 and the path"
    ))
}

/// A user namespace without users: everything belongs to somebody unknown (rootless containers).
pub(super) fn namespace(scene: &Scene, _: &Machine) -> Proved {
    let store = scene.subject.scratch().join("namespace");
    scene.lay(&store);
    let unshare = program("unshare");
    let mapped = [unshare.as_os_str(), OsStr::new("--user"), OsStr::new("--map-root-user")];
    let program = scene.subject.program().as_os_str();
    let subject = scene.at(&store);
    for words in scene.changes() {
        scene.lay(&store);
        let ran = Ran::of(&mut subject.command_of(mapped.into_iter().chain([program]), &words));
        ensure(ran.code == Some(0), || format!("it fails in a user namespace\n{ran:?}"))?;
    }
    Ok("in a user namespace: all changes done".to_owned())
}

/// No home, one that is not there, and one that nobody may write.
pub(super) fn home(scene: &Scene, _: &Machine) -> Proved {
    let (scratch, program) = (scene.subject.scratch(), scene.subject.program());
    let run = |home: Option<&Path>, words: &[&str]| {
        let mut command = std::process::Command::new(program);
        command.env_clear().args(words);
        Ran::of(home.iter().fold(&mut command, |command, home| command.env("HOME", home)))
    };
    let none = run(None, &["create", "app"]);
    ensure(none.code == Some(2) && none.stderr.contains("HOME"), || format!("without a home\n{none:?}"))?;

    let absent = scratch.join("no/home/here");
    let ran = run(Some(&absent), &["ls"]);
    ensure(ran.code == Some(0) && !absent.exists(), || format!("reading made a home\n{ran:?}"))?;
    let ran = run(Some(&absent), &["create", "app"]);
    ensure(ran.code == Some(0), || format!("a home that can be made was not\n{ran:?}"))?;
    let ran = run(Some(&absent), &["exists", "app"]);
    ensure(ran.code == Some(0), || format!("what was made in a new home is not there\n{ran:?}"))?;

    // A file where a directory is needed stops root as well.
    let occupied = scratch.join("occupied");
    fs::write(&occupied, "").expect("a file");
    refused(&run(Some(&occupied), &["create", "app"]), &occupied)?;
    Ok("none: exit 2; not there: reading makes nothing, a change makes it; a file in its place: exit 12"
        .to_owned())
}
