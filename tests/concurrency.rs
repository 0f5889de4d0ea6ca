//! Many processes on one store, and processes that end in the middle.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends a test by a panic"
)]

#[path = "concurrency/holds.rs"]
mod holds;
#[path = "concurrency/interrupted.rs"]
mod interrupted;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use manifest_testkit::{FakeRegistry, Gate, Image, Method, Ran, Running, Workspace};
use serde_json::Value;

const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");

/// How many processes work at once.
const CROWD: usize = 32;

/// How long a test may try to catch a moment.
const PATIENCE: Duration = Duration::from_secs(120);

fn manifest(workspace: &Workspace, words: &str) -> Ran {
    workspace.run(MANIFEST, words.split(' '))
}

fn start(workspace: &Workspace, words: &str) -> Running {
    workspace.start(MANIFEST, words.split(' '))
}

/// A workspace with a layout of as many images as the crowd is large, named `v0`, `v1` and so on.
fn crowded() -> Workspace {
    let workspace = Workspace::new();
    for at in 0..CROWD {
        let image = Image::new(&format!("linux/cpu{at}"));
        image.write_layout(&workspace.path().join("layout"), &format!("v{at}"));
    }
    workspace
}

/// The digests in a list; each of them once.
fn entries(workspace: &Workspace, list: &str) -> BTreeSet<String> {
    let list: Value =
        serde_json::from_str(manifest(workspace, &format!("inspect --raw {list}")).ok()).unwrap();
    let entries = list["manifests"].as_array().unwrap();
    let digests: BTreeSet<_> =
        entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect();
    assert_eq!(digests.len(), entries.len(), "an entry stands there twice");
    digests
}

#[test]
fn of_thirty_two_additions_at_once_none_is_lost() {
    let workspace = crowded();
    let expected: BTreeSet<_> =
        (0..CROWD).map(|at| Image::new(&format!("linux/cpu{at}")).digest().to_string()).collect();
    for round in 0..3 {
        manifest(&workspace, &format!("create round{round}")).ok();
        let add = |at| start(&workspace, &format!("add round{round} oci:layout:v{at}"));
        let crowd: Vec<_> = (0..CROWD).map(add).collect();
        for running in crowd {
            running.wait().ok();
        }
        assert_eq!(entries(&workspace, &format!("round{round}")), expected);
    }
}

#[test]
fn of_thirty_two_creations_of_one_name_one_wins() {
    let workspace = crowded();
    for round in 0..3 {
        let create = |at| start(&workspace, &format!("create round{round} oci:layout:v{at}"));
        let crowd: Vec<_> = (0..CROWD).map(create).collect();
        let ended: Vec<_> = crowd.into_iter().map(Running::wait).collect();
        let winners: Vec<_> = ended.iter().filter(|ran| ran.code == Some(0)).collect();
        assert_eq!(winners.len(), 1, "{ended:#?}");
        for ran in ended.iter().filter(|ran| ran.code != Some(0)) {
            assert!(ran.fails(4).contains("hint: "), "{ran:?}");
        }
        let shown = manifest(&workspace, &format!("inspect --output json round{round}"));
        let shown: Value = serde_json::from_str(shown.ok()).unwrap();
        assert_eq!(shown["list"]["id"], winners[0].stdout.trim_end());
        assert_eq!(shown["document"]["manifests"].as_array().unwrap().len(), 1);
    }
    let lists = manifest(&workspace, "ls");
    assert_eq!(lists.ok().lines().filter(|line| line.contains("round")).count(), 3);
    assert_eq!(fs::read_dir(workspace.store().join("records")).unwrap().count(), 3, "losers leave nothing");
}

/// Whether a process holds a lock of this file right now, as the kernel tells.
fn holds_lock(process: u32) -> bool {
    let locks = fs::read_to_string("/proc/locks").expect("/proc/locks, which tells who holds a lock");
    let held = locks.lines().filter(|line| !line.contains("->"));
    held.map(|line| line.split_whitespace().collect::<Vec<_>>())
        .any(|words| words.get(4) == Some(&process.to_string().as_str()))
}

/// A process that edits `list` and was stopped while it holds its lock.
fn stopped_holder(workspace: &Workspace, list: &str) -> Running {
    let started = Instant::now();
    for turn in 0.. {
        assert!(started.elapsed() < PATIENCE, "no process could be stopped while it holds a lock");
        let mut running = start(workspace, &format!("annotate --index {list} --annotation turn={turn}"));
        while !running.has_ended() && !holds_lock(running.id()) {}
        running.signal("STOP");
        // It may have let go before the signal came.
        if !running.has_ended() && holds_lock(running.id()) {
            return running;
        }
        running.signal("CONT");
        running.wait();
    }
    unreachable!("the loop ends by its own means")
}

#[test]
fn who_waits_for_a_stopped_process_is_told_its_name_and_goes_on_when_it_is_dead() {
    let workspace = crowded();
    manifest(&workspace, "create app").ok();
    manifest(&workspace, "create other").ok();
    let holder = stopped_holder(&workspace, "app");

    let waiting =
        (0..4).map(|at| start(&workspace, &format!("add --lock-timeout 300ms app oci:layout:v{at}")));
    for running in waiting.collect::<Vec<_>>() {
        let ran = running.wait();
        let said = ran.fails(9);
        assert!(said.contains(&format!("process {} ", holder.id())), "{said}");
        assert!(
            said.contains("manifest annotate --index app") && said.contains("hint: --lock-timeout"),
            "{said}"
        );
    }
    // Readers and other lists do not wait.
    manifest(&workspace, "inspect --lock-timeout 0 app").ok();
    manifest(&workspace, "ls --lock-timeout 0").ok();
    manifest(&workspace, "add --lock-timeout 0 other oci:layout:v0").ok();

    let patient = start(&workspace, "add --lock-timeout 60s app oci:layout:v7");
    holder.signal("KILL");
    patient.wait().ok();
    manifest(&workspace, "add --lock-timeout 10s app oci:layout:v8").ok();
    assert_eq!(entries(&workspace, "app").len(), 2);
}

#[test]
fn readers_never_fail_while_others_write() {
    let workspace = crowded();
    manifest(&workspace, "create app").ok();
    let mut writers: Vec<_> =
        (0..CROWD).map(|at| start(&workspace, &format!("add app oci:layout:v{at}"))).collect();
    let (mut seen, mut reads) = (0, 0);
    while reads < 5 || !writers.iter_mut().all(Running::has_ended) {
        let now = entries(&workspace, "app").len();
        assert!(now >= seen, "an entry went away: {now} after {seen}");
        seen = now;
        assert!(manifest(&workspace, "ls").ok().contains("localhost/app:latest"));
        reads += 1;
    }
    for writer in writers {
        writer.wait().ok();
    }
    assert_eq!(entries(&workspace, "app").len(), CROWD);
}

#[test]
fn an_interrupted_push_ends_within_a_second_and_leaves_the_store_as_it_was() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (workspace, registry, gate) = (crowded(), FakeRegistry::start(), Gate::new());
        manifest(&workspace, "create app oci:layout:v0 oci:layout:v1").ok();
        let before = entries(&workspace, "app");
        let puts = "/v2/app/blobs/uploads/*";
        registry.on(Method::Put, puts).always().hold(&gate).stall();
        let target = format!("docker://{}/app:1.0", registry.address());
        let push = start(&workspace, &format!("push --rm app {target}"));
        gate.wait_for_blocking(1);
        push.signal(signal);
        let asked = Instant::now();
        let ran = push.wait();
        let told = ran.fails(code);
        assert!(told.contains("interrupted") && told.contains("push --resume"), "{ran:?}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        assert!(registry.tags("app").is_empty());

        assert_eq!(entries(&workspace, "app"), before);
        registry.clear_rules();
        manifest(&workspace, "add --lock-timeout 0 app oci:layout:v2").ok();
        manifest(&workspace, &format!("push app {target}")).ok();
        assert_eq!(registry.tags("app"), ["1.0"]);
    }
}

#[test]
fn who_waits_for_a_lock_can_be_interrupted() {
    let workspace = crowded();
    manifest(&workspace, "create app").ok();
    let holder = stopped_holder(&workspace, "app");
    let waiting = start(&workspace, "add --lock-timeout 1h app oci:layout:v0");
    // It waits once it has tried; each try opens the file of the lock for a moment.
    let tries = |id| {
        let open = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
        let mut paths = open.filter_map(|file| fs::read_link(file.path()).ok());
        paths.any(|path| path.starts_with(workspace.store().join("locks")))
    };
    let started = Instant::now();
    while !tries(waiting.id()) {
        assert!(started.elapsed() < PATIENCE, "it never began to wait");
    }
    waiting.signal("INT");
    let asked = Instant::now();
    waiting.wait().fails(130);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    drop(holder);
    manifest(&workspace, "add --lock-timeout 10s app oci:layout:v0").ok();
}

#[test]
fn a_killed_addition_leaves_the_old_list_or_the_new_one() {
    let workspace = crowded();
    manifest(&workspace, "create app").ok();
    let mut before = entries(&workspace, "app");
    let began = Instant::now();
    manifest(&workspace, "add app oci:layout:v0").ok();
    let usual = began.elapsed();
    before.extend(entries(&workspace, "app"));
    for at in 1..CROWD {
        let image = Image::new(&format!("linux/cpu{at}")).digest().to_string();
        let adding = start(&workspace, &format!("add app oci:layout:v{at}"));
        // A later moment with each turn, from the start of the program to beyond its end.
        let moment = usual * u32::try_from(at).unwrap() / 24;
        let started = Instant::now();
        while started.elapsed() < moment {
            std::hint::spin_loop();
        }
        adding.signal("KILL");
        let ran = adding.wait();
        let now = entries(&workspace, "app");
        let new: BTreeSet<_> = before.iter().cloned().chain([image]).collect();
        assert!(now == before || now == new, "turn {at}: {now:?}");
        assert!(ran.code.is_none() || now == new, "what was said to be done is done: {ran:?}");
        before = now;
    }
    manifest(&workspace, "create --lock-timeout 0 after oci:layout:v1").ok();
    manifest(&workspace, "add --lock-timeout 0 --allow-duplicate app oci:layout:v1").ok();
}
