//! `manifest push` into OCI archives, alone and beside other targets.

use std::fs;
use std::path::PathBuf;

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Method, Running};
use serde_json::{Value, json};

use crate::in_process::Cli;

fn app(cli: &Cli) -> Digest {
    cli.ok(&format!("create app {} {}", cli.image("linux/amd64"), cli.image("linux/arm64")));
    cli.json("inspect app")["document"]["digest"].as_str().unwrap().parse().unwrap()
}

fn at(cli: &Cli, name: &str) -> PathBuf {
    cli.workspace.path().join(name)
}

/// What is half written beside the archives.
fn beside(cli: &Cli) -> Vec<String> {
    let entries = fs::read_dir(cli.workspace.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".tmp-")).collect()
}

/// Kills a push when this request has come, which is never answered.
fn cut(cli: &Cli, registry: &FakeRegistry, path: &str, words: &str) {
    let rule = registry.on(Method::Put, path).always().stall();
    let mut running: Running = cli.workspace.start(env!("CARGO_BIN_EXE_manifest"), words.split_whitespace());
    while rule.hits() == 0 {
        assert!(!running.has_ended(), "{words}: {:?}", running.wait());
        std::thread::yield_now();
    }
    drop(running);
    registry.clear_rules();
}

#[test]
fn an_archive_is_what_an_export_writes() {
    let cli = Cli::new();
    let digest = app(&cli);
    cli.ok("tag app example.com/app:1.0");
    for (number, (list, name, export)) in [
        ("app", "", ""),
        ("example.com/app:1.0", "", ""),
        ("app", ":1.0", "--name 1.0"),
        ("app", ":example.com/other:2", "--name example.com/other:2"),
    ]
    .into_iter()
    .enumerate()
    {
        let (pushed, exported) = (at(&cli, &format!("p{number}.tar")), at(&cli, &format!("e{number}.tar")));
        cli.ok(&format!("push {list} oci-archive:{}{name}", pushed.display()));
        cli.ok(&format!("export {list} {export} --oci-archive {}", exported.display()));
        assert!(fs::read(&pushed).unwrap() == fs::read(&exported).unwrap(), "{list} {name}");
    }
    let unnamed = at(&cli, "unnamed.tar");
    let report = cli.json(&format!("push --by-digest app oci-archive:{}", unnamed.display()));
    assert_eq!(report["targets"][0]["tags"], json!([]));
    assert_eq!(
        cli.ok(&format!("inspect --raw oci-archive:{}", unnamed.display())),
        cli.ok("inspect --raw app")
    );
    assert!(cli.run(&format!("inspect oci-archive:{}@{digest}", unnamed.display())).code == Some(0));
    assert_eq!(beside(&cli), [""; 0]);
}

#[test]
fn an_archive_stands_beside_registries_in_one_publication() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    let file = at(&cli, "app.tar");
    let push = format!("push app docker://{}/app:1 oci-archive:{}:1", registry.address(), file.display());
    let plan = cli.json(&format!("{push} --dry-run"));
    assert!(!file.exists() && registry.tags("app").is_empty());
    let counted = |target: &Value| (target["manifests"].clone(), target["tags"].clone());
    let planned: Vec<_> = plan["targets"].as_array().unwrap().iter().map(counted).collect();
    let report = cli.json(&push);
    assert_eq!(report["targets"].as_array().unwrap().iter().map(counted).collect::<Vec<_>>(), planned);
    assert_eq!(report["targets"][1]["target"], format!("oci-archive:{}:1", file.display()));
    assert_eq!(report["targets"][1]["tags"], json!([{"name": "1", "before": "absent"}]));
    assert_eq!((registry.tag("app", "1"), beside(&cli)), (Some(digest), vec![]));
    assert_eq!(
        cli.ok(&format!("inspect --raw oci-archive:{}:1", file.display())),
        cli.ok("inspect --raw app")
    );
    assert_eq!(cli.json("publications")["publications"][0]["phase"], "done");
    assert!(cli.json("ls")["lists"][0]["pushed"]["target"].as_str().unwrap().contains("oci-archive:"));
}

#[test]
fn a_file_that_is_there_stays_and_nothing_is_sent() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    app(&cli);
    let file = cli.workspace.write("app.tar", "mine");
    let push = format!("push app docker://{}/app:1 oci-archive:{}", registry.address(), file.display());
    for push in [push.clone(), format!("{push} --dry-run")] {
        cli.fails(4, &push).says("exists", &["app.tar", "--replace"]);
    }
    assert!(registry.requests().iter().all(|request| request.method.reads()), "{:?}", registry.requests());
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    cli.fails(3, &format!("push app oci-archive:{}/none/app.tar", cli.workspace.path().display()));
    let one = format!("oci-archive:{}", at(&cli, "one.tar").display());
    cli.fails(2, &format!("push app {one}:1 {one}:2")).says("misuse", &["given twice"]);
    let archive = file.display();
    cli.fails(2, &format!("push app docker-archive:{archive}")).says("misuse", &["manifest export"]);
    cli.fails(2, &format!("push app oci-archive:{archive}:@0")).says("misuse", &["not a digest or position"]);
    cli.fails(2, &format!("push --by-digest app {one}:1")).says("misuse", &["--by-digest"]);
    cli.fails(4, &format!("push --expect-current {} app {one}", Digest::sha256(b"x")))
        .says("moved", &["one.tar"]);
}

#[test]
fn an_archive_does_not_appear_when_another_target_fails() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    app(&cli);
    let file = at(&cli, "app.tar");
    let push = format!("push app docker://{}/app:1 oci-archive:{}", registry.address(), file.display());
    for path in ["/v2/app/manifests/sha256:*", "/v2/app/manifests/1"] {
        let rule = registry.on(Method::Put, path).always().reply(403);
        let failed = cli.run(&push);
        assert_eq!(failed.code, Some(6), "{failed:?}");
        assert!(rule.hits() > 0 && !file.exists(), "{path}");
        assert_eq!(beside(&cli), [""; 0]);
        assert_eq!(cli.json("publications")["publications"][0]["phase"], "failed");
        registry.clear_rules();
    }
    cli.ok(&push);
    assert!(file.exists());
}

#[test]
fn a_push_into_an_archive_that_was_killed_goes_on_or_back() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    let old = Image::new("linux/amd64").layer("old").push_to(&registry, "app", "1");
    let file = at(&cli, "app.tar");
    let push = format!("push app oci-archive:{}:1 docker://{}/app:1", file.display(), registry.address());
    cut(&cli, &registry, "/v2/app/manifests/1", &push);
    assert!(!file.exists());
    assert!(cfg!(not(unix)) || !beside(&cli).is_empty());
    let resumed = cli.json("push --resume");
    assert_eq!(beside(&cli), [""; 0]);
    assert_eq!(resumed["targets"][0]["target"], format!("oci-archive:{}:1", file.display()));
    assert_eq!(registry.tag("app", "1"), Some(digest));
    assert_eq!(
        cli.ok(&format!("inspect --raw oci-archive:{}:1", file.display())),
        cli.ok("inspect --raw app")
    );
    // Cut off when the archive has been shown, which comes last: nothing but the note is left to be done.
    fs::remove_file(&file).unwrap();
    Image::new("linux/amd64").layer("old").push_to(&registry, "app", "1");
    cut(&cli, &registry, "/v2/app/manifests/1", &push);
    let half = beside(&cli).into_iter().map(|name| at(&cli, &name)).collect::<Vec<_>>();
    cli.ok(&format!("export app --name 1 --oci-archive {}", file.display()));
    assert_eq!(beside(&cli), [""; 0], "an export tidies up, too");
    half.iter().for_each(|name| drop(fs::File::create(name).unwrap()));
    let aborted = cli.json("push --abort");
    assert_eq!(beside(&cli), [""; 0]);
    assert!(aborted["tags"].as_array().unwrap().iter().all(|tag| tag["stays"].is_null()), "{aborted}");
    assert!(!file.exists());
    assert_eq!(registry.tag("app", "1"), Some(old));
}

#[test]
fn a_resumed_push_keeps_an_archive_that_is_there_and_no_other_file() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    let file = at(&cli, "app.tar");
    let push = format!("push app oci-archive:{} docker://{}/app:1", file.display(), registry.address());
    cut(&cli, &registry, "/v2/app/manifests/1", &push);
    fs::write(&file, "mine").unwrap();
    let refused = cli.run("push --resume");
    assert_eq!((refused.code, registry.tag("app", "1")), (Some(4), None), "{refused:?}");
    fs::remove_file(&file).unwrap();
    cli.ok(&format!("export app --oci-archive {}", file.display()));
    let before = fs::read(&file).unwrap();
    cli.ok("push --resume");
    assert_eq!((fs::read(&file).unwrap() == before, registry.tag("app", "1")), (true, Some(digest)));
}

#[test]
fn what_a_killed_push_has_half_made_is_removed_by_the_next_one_and_by_nobody_while_it_runs() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    app(&cli);
    let image = Image::new("linux/amd64").layer("remote");
    image.push_to(&registry, "app", "1");
    let of_registry = format!("docker://{}/app:1", registry.address());
    cli.ok(&format!("create remote {of_registry}"));
    let file = at(&cli, "app.tar");
    let push = format!("push remote oci-archive:{}", file.display());
    let (blobs, killed_in) = (Method::Get, "/v2/app/blobs/*");
    let rule = registry.on(blobs, killed_in).always().stall();
    let start = || cli.workspace.start(env!("CARGO_BIN_EXE_manifest"), push.split_whitespace());
    let killed = start();
    while rule.hits() == 0 {
        std::thread::yield_now();
    }
    let made = beside(&cli);
    assert_eq!(made.len(), 1);
    let other = at(&cli, "other.tar");
    cli.ok(&format!("push app oci-archive:{}", other.display()));
    cli.ok(&format!("push app oci-archive:{}", file.display()));
    assert_eq!(beside(&cli), made, "somebody is at it");
    drop(killed);
    registry.clear_rules();
    fs::remove_file(&file).unwrap();
    fs::remove_file(&other).unwrap();
    cli.ok(&format!("push app oci-archive:{}", other.display()));
    assert_eq!(beside(&cli), made, "that is another archive");
    cli.ok(&push);
    assert_eq!(beside(&cli), [""; 0]);
}
