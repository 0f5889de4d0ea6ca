//! What was interrupted was neither answered nor denied: nothing is taken for missing because of it.

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
