//! `manifest push --progress`: how it goes on.

use manifest_testkit::{FakeRegistry, Image, Method};
use serde_json::Value;

use crate::in_process::Cli;

/// The lines on standard error, each of which must be an object.
fn objects(stderr: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let objects: Vec<Value> = stderr.lines().map(parse).collect();
    assert!(objects.iter().all(Value::is_object), "{stderr}");
    objects
}

/// The kinds of the events.
fn events(objects: &[Value]) -> Vec<&str> {
    objects.iter().filter_map(|object| object["event"].as_str()).collect()
}

#[test]
fn programs_are_told_each_step_and_every_line_is_an_object() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    cli.ok(&format!("create app {} {}", cli.image("linux/amd64"), cli.image("linux/arm64")));
    let digest = cli.json("inspect app")["document"]["digest"].as_str().unwrap().to_owned();
    registry.on(Method::Put, "/v2/app/manifests/sha256:*").reply(503);
    registry.on(Method::Get, &format!("/v2/app/manifests/{digest}")).reply(404);
    let to = format!("docker://{}/app", registry.address());
    let ran = cli.run(&format!("push app {to}:1,2 --retry-delay 1ms --progress json"));
    assert_eq!(ran.ok(), format!("{digest}\n"), "the result is text all the same");
    let told = objects(&ran.stderr);
    let kinds = events(&told);
    let count = |kind: &str| kinds.iter().filter(|it| **it == kind).count();
    assert_eq!(kinds[0], "planned");
    assert_eq!((count("blob_started"), count("blob_done")), (4, 4), "{kinds:?}");
    assert_eq!((count("blob_progress") >= 4, count("retry"), count("waiting")), (true, 1, 1), "{kinds:?}");
    assert_eq!((count("manifest_written"), count("tag_moved"), count("target_done")), (3, 2, 1), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"target_done"));
    let last = told.iter().rev().find(|object| object["event"] == "blob_progress").unwrap();
    assert_eq!(last["totalBytes"], last["totalSize"], "{last}");
    let tag = told.iter().find(|object| object["event"] == "tag_moved").unwrap();
    assert_eq!((&tag["target"], &tag["tag"]), (&to.clone().into(), &"1".into()));
    assert!(
        told.iter().any(|object| object["note"].as_str().is_some_and(|note| note.starts_with("pushed ")))
    );

    let quiet = cli.run(&format!("push app {to}:3 --progress json --quiet"));
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
}

#[test]
fn with_progress_for_programs_errors_are_objects_too() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    registry.on(Method::Put, "/v2/app/manifests/1").always().reply(403);
    let host = registry.address();
    for (line, kind, code) in [
        (format!("push app docker://{host}/app:1 --progress json"), "denied", 6),
        ("push gone --progress json".to_owned(), "list_not_found", 3),
        ("push app --progress=json --nonsense".to_owned(), "misuse", 2),
        ("push --progress json --nonsense".to_owned(), "misuse", 2),
    ] {
        let ran = cli.run(&line);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        let told = objects(&ran.stderr);
        assert_eq!(told.last().unwrap()["error"]["kind"], kind, "{ran:?}");
        if kind == "denied" {
            assert!(events(&told).contains(&"target_failed"), "{ran:?}");
        }
    }
}

#[test]
fn a_target_that_may_fail_is_told_of_and_the_others_are_done() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    let host = registry.address();
    registry.on(Method::Get, "/v2/closed/manifests/1").always().reply(403);
    let ran = cli.run(&format!(
        "push app docker://{host}/app:1 --best-effort docker://{host}/closed:1 --progress json"
    ));
    ran.ok();
    let told = objects(&ran.stderr);
    let of = |kind: &str| {
        let found = told.iter().filter(|object| object["event"] == kind);
        found.map(|object| object["target"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of("target_failed"), [format!("docker://{host}/closed")]);
    assert_eq!(of("target_done"), [format!("docker://{host}/app")]);
    // It was not pushed there, so that nobody who asks for the list later on is sent there.
    assert_eq!(cli.json("ls")["lists"][0]["pushed"]["target"], format!("docker://{host}/app:1"));
}

#[test]
fn people_may_read_a_line_a_step_or_nothing() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    let to = format!("docker://{}/app", registry.address());
    let plain = cli.run(&format!("push app {to}:1 --progress plain"));
    for part in [&format!("{to}: 2 blobs ("), "copy sha256:", "write sha256:", &format!("tag {to}:1\n")] {
        assert!(plain.stderr.contains(part), "{part}: {plain:?}");
    }
    for form in ["none", "auto"] {
        let ran = cli.run(&format!("push app {to}:{form} --progress {form}"));
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
    cli.fails(2, &format!("push app {to}:1 --progress loud")).says("misuse", &["loud"]);
}

#[test]
fn the_report_tells_children_retries_and_how_long_it_took() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let arm = cli.put(&Image::new("linux/arm64"), "arm");
    cli.ok(&format!("create app {} {arm}", cli.image("linux/amd64")));
    registry.on(Method::Put, "/v2/app/manifests/1").times(2).reply(503);
    let host = registry.address();
    let report = cli.json(&format!("push app docker://{host}/app:1 --retry-delay 1ms"));
    let children = report["children"].as_array().unwrap();
    assert_eq!(children.len(), 2);
    assert_eq!(children[1]["digest"], arm.digest);
    assert_eq!(children[1]["platform"]["architecture"], "arm64");
    assert_eq!((&report["retries"][0]["host"], &report["retries"][0]["count"]), (&host.into(), &2.into()));
    assert!(report["targets"][0]["tookMs"].as_u64() <= report["tookMs"].as_u64(), "{report}");
    assert_eq!(report["targets"][0]["blobs"][0]["action"], "copy");
}
