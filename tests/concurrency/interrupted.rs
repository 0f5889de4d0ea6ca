//! What was interrupted was neither answered nor denied: nothing is taken for missing because of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{manifest, start};
use manifest_testkit::{FakeRegistry, Gate, Image, Method, Running, Workspace};

/// Interrupts a command as soon as it waits for an answer that will not come.
#[track_caller]
fn interrupt(workspace: &Workspace, registry: &FakeRegistry, (method, path): (Method, &str), words: &str) {
    let gate = Gate::new();
    registry.on(method, path).always().hold(&gate).stall();
    let running: Running = start(workspace, words);
    gate.wait_for_blocking(1);
    running.signal("INT");
    let ran = running.wait();
    assert!(ran.fails(130).contains("interrupted"), "{ran:?}");
    assert_eq!(ran.stdout, "", "{words}");
    registry.clear_rules();
}

/// A0-17.
#[test]
fn an_interrupted_question_is_not_an_answer() {
    let (workspace, source, target) = (Workspace::new(), FakeRegistry::start(), FakeRegistry::start());
    Image::new("linux/amd64").push_to(&source, "app", "1");
    let from = format!("docker://{}/app:1", source.address());
    let to = format!("docker://{}/app:1", target.address());
    manifest(&workspace, &format!("create app {from}")).ok();
    let raw = || manifest(&workspace, "inspect --raw app").ok().to_owned();
    let before = raw();

    // What is at the target was not found out, which does not mean that it has to go there.
    for method in [Method::Head, Method::Get] {
        let (registry, words) = match method {
            Method::Head => (&target, format!("push app {to}")),
            // The image moved away, or the registry is down: nothing of that is known either.
            _ => (&source, "refresh app".to_owned()),
        };
        interrupt(&workspace, registry, (method, "/v2/app/manifests/*"), &words);
        assert!(target.requests().iter().all(|request| request.method.reads()), "{:?}", target.requests());
        assert_eq!(raw(), before);
    }
    manifest(&workspace, "create other").ok();
    // It is remembered, and would serve if the registry were out of reach.
    interrupt(&workspace, &source, (Method::Get, "/v2/app/manifests/*"), &format!("add other {from}"));
    assert_eq!(manifest(&workspace, "inspect --raw other").ok().matches("digest").count(), 0);

    manifest(&workspace, &format!("push app {to}")).ok();
    assert_eq!(target.tags("app"), ["1"]);
    assert!(manifest(&workspace, "refresh app").ok().contains("unchanged"));
}

/// What probes have written and is there still.
fn left(registry: &FakeRegistry) -> Vec<String> {
    let puts = registry.requests().into_iter().filter(|request| !request.method.reads());
    let written: BTreeSet<String> = puts.map(|request| request.target).collect();
    let is_there = |target: &String| {
        let digest = |text: &str| text.rsplit_once("digest=").unwrap().1.replace("%3A", ":");
        match target.split_once("/manifests/") {
            Some((_, reference)) => registry.manifest("app", reference.split('?').next().unwrap()).is_some(),
            None if target.contains("digest=") => registry.has_blob("app", &digest(target).parse().unwrap()),
            None => false,
        }
    };
    written.into_iter().filter(is_there).collect()
}

#[test]
fn a_probe_that_is_interrupted_cleans_up() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    let probe = format!("registry probe --refresh {}/app", registry.address());
    for (method, path, skip) in [
        (Method::Put, "/v2/app/blobs/uploads/*", 1),
        (Method::Put, "/v2/app/manifests/*", 0),
        (Method::Put, "/v2/app/manifests/*", 4),
        (Method::Put, "/v2/app/manifests/manifest-probe-*", 1),
        (Method::Delete, "/v2/app/manifests/*", 1),
    ] {
        for signal in ["INT", "TERM"] {
            let gate = Gate::new();
            let rule = registry.on(method, path).skip(skip).hold(&gate);
            let mut running = start(&workspace, &probe);
            while rule.hits() == 0 {
                assert!(!running.has_ended(), "{method:?} {path} {skip}: {:?}", running.wait());
                std::thread::yield_now();
            }
            running.signal(signal);
            // What is under way then is carried out.
            gate.open();
            let ran = running.wait();
            assert!(!ran.stderr.contains("not deleted"), "{ran:?}");
            assert_eq!((left(&registry), registry.tags("app")), (vec![], vec![]), "{method:?} {path} {skip}");
            // It may have been done by then.
            if ran.code != Some(0) {
                let code = if signal == "INT" { 130 } else { 143 };
                assert!(ran.fails(code).contains("interrupted; cleaning up"), "{ran:?}");
            }
            registry.clear_rules();
        }
    }
}

#[test]
fn a_probe_that_is_interrupted_names_what_stays() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    let probe = format!("registry probe {}/app", registry.address());
    let gate = Gate::new();
    let rule = registry.on(Method::Put, "/v2/app/manifests/manifest-probe-*").skip(1).hold(&gate).stall();
    registry.on(Method::Delete, "/v2/app/blobs/*").always().reply(405);
    let running = start(&workspace, &probe);
    while rule.hits() == 0 {
        std::thread::yield_now();
    }
    running.signal("INT");
    // The server says nothing more; the others are asked all the same.
    let ran = running.wait();
    let said = ran.fails(130);
    let place = format!("warning: not deleted from docker://{}/app: ", registry.address());
    assert_eq!(said.matches(&format!("{place}blob sha256:")).count(), 2, "{said}");
    assert_eq!(said.matches("not deleted").count(), 2, "{said}");
    let left = left(&registry);
    assert!(left.len() == 2 && left.iter().all(|target| target.contains("/blobs/")), "{left:?}");
}

#[test]
fn a_probe_that_is_interrupted_twice_ends_at_once() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    let probe = format!("registry probe {}/app", registry.address());
    let put = registry.on(Method::Put, "/v2/app/manifests/*").skip(2).hold(&Gate::new()).stall();
    let delete = registry.on(Method::Delete, "/v2/app/*").always().hold(&Gate::new()).stall();
    let running = start(&workspace, &probe);
    for rule in [put, delete] {
        while rule.hits() == 0 {
            std::thread::yield_now();
        }
        running.signal("INT");
    }
    let asked = Instant::now();
    let ran = running.wait();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let said = ran.fails(130);
    // The third manifest never arrived.
    assert_eq!(said.matches("not deleted").count(), 4, "{said}");
}
