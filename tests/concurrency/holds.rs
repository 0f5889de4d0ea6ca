//! Holds taken and released by many processes, while others remove what they hold.

use std::thread;

use serde_json::Value;

use super::{manifest, start};
use manifest_testkit::{Ran, Running, Workspace};

fn is_there(workspace: &Workspace) -> bool {
    manifest(workspace, "exists app").code == Some(0)
}

/// The kind of the error with which a command ended.
fn kind(ran: &Ran) -> String {
    let error: Value = serde_json::from_str(ran.stderr.lines().last().unwrap_or_default())
        .unwrap_or_else(|_| panic!("no error object: {ran:?}"));
    error["error"]["kind"].as_str().unwrap().to_owned()
}

// A1-17
#[test]
fn a_hold_outlives_the_process_that_took_it_and_ends_by_itself_only_when_it_said_so() {
    let workspace = Workspace::new();
    manifest(&workspace, "create app").ok();
    // Killed at some moment: when the hold was acknowledged it counts, and when it is there it can be seen.
    let holding = start(&workspace, "hold app --by ci");
    let ran = holding.wait();
    ran.ok();
    let stopped = start(&workspace, "hold app --by killed");
    stopped.signal("KILL");
    stopped.wait();
    manifest(&workspace, "release app --by killed").ok();

    assert!(manifest(&workspace, "rm app").fails(4).contains("held by ci"));
    assert!(manifest(&workspace, "inspect --holders app").ok().contains("\nci  "));
    manifest(&workspace, "hold app --by ci --ttl 1ms").ok();
    // Another process, and so more than a millisecond later.
    assert!(manifest(&workspace, "inspect --holders app").ok().contains("(expired)"));
    manifest(&workspace, "rm app").ok();
}

// A1-18
#[test]
fn of_a_hundred_processes_none_removes_what_another_one_holds() {
    let workspace = Workspace::new();
    manifest(&workspace, "create app").ok();
    manifest(&workspace, "hold app --by keeper").ok();
    let words = |at: usize| match at % 3 {
        0 => format!("hold app --by h{at} --output json"),
        1 => format!("release app --by h{} --output json", at - 1),
        _ => "rm app --output json".to_owned(),
    };
    let crowd: Vec<(usize, Running)> = (0..100).map(|at| (at, start(&workspace, &words(at)))).collect();
    for (at, running) in crowd {
        let ran = running.wait();
        match at % 3 {
            2 => assert_eq!((ran.code, kind(&ran)), (Some(4), "held".to_owned()), "{ran:?}"),
            _ => drop(ran.ok()),
        }
    }
    for at in (0..100).step_by(3) {
        manifest(&workspace, &format!("release app --by h{at}")).ok();
    }
    assert!(manifest(&workspace, "rm app").fails(4).contains("held by keeper\n"));
    manifest(&workspace, "release app --by keeper").ok();
    manifest(&workspace, "rm app").ok();
}

// A1-18
#[test]
fn either_the_holds_are_first_or_the_removal() {
    for _ in 0..8 {
        let workspace = Workspace::new();
        manifest(&workspace, "create app").ok();
        let words = |at: usize| match at % 2 {
            0 => format!("hold app --by h{at} --output json"),
            _ => "rm app --output json".to_owned(),
        };
        let crowd: Vec<Running> = (0..12).map(|at| start(&workspace, &words(at))).collect();
        let ended: Vec<Ran> = crowd.into_iter().map(Running::wait).collect();
        let done = |rest: usize| ended.iter().skip(rest).step_by(2).filter(|ran| ran.code == Some(0)).count();
        let (held, removed) = (done(0), done(1));
        assert!(
            (held, removed) == (6, 0) || (held, removed) == (0, 1),
            "{held} holds, {removed} removals: {ended:#?}"
        );
        assert_eq!(is_there(&workspace), removed == 0);
        for ran in ended.iter().filter(|ran| ran.code != Some(0)) {
            let expected = if removed == 0 { "held" } else { "list_not_found" };
            assert_eq!(kind(ran), expected, "{ran:?}");
        }
    }
}

// A1-18
#[test]
fn as_long_as_a_hold_lasts_its_record_is_there() {
    let workspace = Workspace::new();
    manifest(&workspace, "create app").ok();
    thread::scope(|threads| {
        for at in 0..6 {
            let workspace = &workspace;
            threads.spawn(move || {
                for _ in 0..6 {
                    if manifest(workspace, &format!("hold app --by h{at}")).code == Some(0) {
                        assert!(is_there(workspace), "it was removed while h{at} held it");
                        manifest(workspace, &format!("release app --by h{at}")).ok();
                    }
                }
            });
        }
        for _ in 0..2 {
            threads.spawn(|| while manifest(&workspace, "rm app").code == Some(4) {});
        }
    });
    assert!(!is_there(&workspace), "in the end nobody holds it");
}
