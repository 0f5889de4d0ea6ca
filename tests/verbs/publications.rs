//! `manifest push --resume` and `--abort`, and `manifest publications`: pushes that were cut off go on, or back.

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Method, Running, Workspace};
use serde_json::{Value, json};

use crate::in_process::Cli;

/// A list of two platforms, and its digest.
fn app(cli: &Cli) -> Digest {
    cli.ok(&format!("create app {} {}", cli.image("linux/amd64"), cli.image("linux/arm64")));
    cli.json("inspect app")["document"]["digest"].as_str().unwrap().parse().unwrap()
}

/// Runs a command as a process of its own and kills it when this request has come, which is never answered.
fn cut(workspace: &Workspace, registry: &FakeRegistry, (method, path): (Method, &str), words: &str) {
    let rule = registry.on(method, path).always().stall();
    let mut running: Running = workspace.start(env!("CARGO_BIN_EXE_manifest"), words.split_whitespace());
    while rule.hits() == 0 {
        assert!(!running.has_ended(), "{words}: {:?}", running.wait());
        std::thread::yield_now();
    }
    drop(running);
    registry.clear_rules();
}

fn publications(cli: &Cli) -> Vec<Value> {
    cli.json("publications")["publications"].as_array().unwrap().clone()
}

fn phases(cli: &Cli) -> Vec<String> {
    publications(cli).iter().map(|one| one["phase"].as_str().unwrap().to_owned()).collect()
}

/// The blobs that were sent to a registry.
fn uploads(registry: &FakeRegistry) -> usize {
    registry.requests().iter().filter(|request| request.target.contains("digest=")).count()
}

// DUR-23
#[test]
fn a_push_that_was_killed_between_two_tags_is_resumed_and_sends_nothing_twice() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let digest = app(&cli);
    let old = Image::new("linux/amd64").layer("old").push_to(&one, "app", "stable");
    let words =
        format!("push app docker://{}/app:stable,new docker://{}/app:1.0", one.address(), two.address());
    cut(&cli.workspace, &two, (Method::Put, "/v2/app/manifests/1.0"), &words);
    assert_eq!((one.tag("app", "stable"), one.tag("app", "new")), (Some(digest), Some(digest)));
    let [cut_off] = &publications(&cli)[..] else { panic!() };
    assert_eq!(cut_off["phase"], "tags", "{cut_off}");
    assert_eq!(
        cut_off["targets"][0]["tags"],
        json!([{"name": "stable", "before": old.to_string()}, {"name": "new", "before": "absent"}])
    );
    let sent = (uploads(&one), uploads(&two));
    // The list is what it was when the push began, also when that was changed since.
    cli.ok("annotate --index app --annotation changed=since");
    let metadata = cli.workspace.path().join("pushed.json");
    let report = cli.json(&format!("push --resume app --metadata-file {}", metadata.display()));
    assert_eq!(report["digest"], digest.to_string());
    assert_eq!(serde_json::from_str::<Value>(&std::fs::read_to_string(metadata).unwrap()).unwrap(), report);
    assert_eq!((one.tag("app", "new"), two.tag("app", "1.0")), (Some(digest), Some(digest)));
    assert_eq!((uploads(&one), uploads(&two)), sent);
    assert_eq!(phases(&cli), ["done"]);
    assert_eq!(cli.json("ls")["lists"][0]["pushed"]["digest"], digest.to_string());
    cli.fails(3, "push --resume app").says("nothing_cut_off", &["no push of app was cut off"]);
    cli.fails(3, "push --abort").says("nothing_cut_off", &["no push was cut off"]);
}

#[test]
fn a_push_that_was_killed_between_two_tags_is_taken_back() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let digest = app(&cli);
    let old = Image::new("linux/amd64").layer("old").push_to(&one, "app", "stable");
    let words =
        format!("push app docker://{}/app:stable,new docker://{}/app:1.0", one.address(), two.address());
    cut(&cli.workspace, &two, (Method::Put, "/v2/app/manifests/1.0"), &words);
    one.on(Method::Delete, "/v2/app/manifests/new").always().reply(405);
    let report = cli.json("push --abort app");
    let stays = "it is new, and the registry deletes no tags";
    let (first, second) = (one.address(), two.address());
    assert_eq!(
        report["tags"],
        json!([
            {"tag": format!("docker://{first}/app:stable")},
            {"tag": format!("docker://{first}/app:new"), "stays": stays},
            {"tag": format!("docker://{second}/app:1.0")},
        ])
    );
    assert_eq!((one.tag("app", "stable"), one.tag("app", "new")), (Some(old), Some(digest)));
    assert_eq!(two.tags("app"), [""; 0]);
    assert!(two.manifest("app", &digest.to_string()).is_some(), "content stays");
    assert_eq!(phases(&cli), ["aborted"]);
    cli.fails(3, "push --resume").says("nothing_cut_off", &[]);
}

#[test]
fn a_push_that_was_killed_while_content_went_goes_on_with_what_is_missing() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let digest = app(&cli);
    let words = format!("push app docker://{}/app:1,2 docker://{}/app:1", one.address(), two.address());
    cut(&cli.workspace, &two, (Method::Put, "/v2/app/manifests/sha256:*"), &words);
    assert_eq!((phases(&cli), one.tags("app").len()), (vec!["content".to_owned()], 0));
    let arrived = (uploads(&one), uploads(&two));
    assert!(cli.ok("publications").contains("content"));
    let told = cli.run("push --resume");
    assert!(told.stderr.contains("resuming the push of localhost/app:latest"), "{told:?}");
    assert_eq!(told.ok(), format!("{digest}\n"));
    assert_eq!((one.tag("app", "2"), two.tag("app", "1")), (Some(digest), Some(digest)));
    assert_eq!(uploads(&two), arrived.1);
    assert!(uploads(&one) >= arrived.0);
}

#[test]
fn a_tag_that_somebody_else_has_moved_ends_the_resumption() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let digest = app(&cli);
    let old = Image::new("linux/amd64").layer("old").push_to(&two, "app", "1");
    let words = format!("push app docker://{}/app:1 docker://{}/app:1,2", one.address(), two.address());
    cut(&cli.workspace, &two, (Method::Put, "/v2/app/manifests/2"), &words);
    let other = Image::new("linux/amd64").layer("other").push_to(&two, "app", "2");
    cli.fails(4, "push --resume").says("moved", &["app:2 means", "no such tag was expected", "--abort"]);
    assert_eq!((two.tag("app", "2"), phases(&cli)), (Some(other), vec!["tags".to_owned()]));
    let ran = cli.run("push --abort");
    assert!(ran.stderr.contains("app:2 stays as it is: somebody else has moved it since"), "{ran:?}");
    assert_eq!(
        (two.tag("app", "1"), two.tag("app", "2"), one.tag("app", "1")),
        (Some(old), Some(other), None)
    );
    assert!(one.manifest("app", &digest.to_string()).is_some());
}

#[test]
fn a_push_that_is_under_way_is_left_to_its_process() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    app(&cli);
    let words = format!("push app docker://{}/app:1,2", registry.address());
    let rule = registry.on(Method::Put, "/v2/app/manifests/2").always().stall();
    let running = cli.workspace.start(env!("CARGO_BIN_EXE_manifest"), words.split_whitespace());
    while rule.hits() == 0 {
        std::thread::yield_now();
    }
    for verb in ["--resume", "--abort"] {
        cli.fails(9, &format!("push {verb} app"))
            .says("busy", &[&format!("in use by process {}", running.id()), "it is under way"]);
    }
    drop(running);
    registry.clear_rules();
    cli.ok("push --abort app");
    assert_eq!(registry.tags("app"), [""; 0]);
}

#[test]
fn a_push_that_failed_is_over_and_a_newer_one_takes_the_place_of_what_was_cut_off() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    app(&cli);
    let words = format!("push app docker://{}/app:1 docker://{}/app:1", one.address(), two.address());
    two.on(Method::Put, "/v2/app/manifests/1").always().reply(403);
    assert_eq!(cli.run(&words).code, Some(6));
    two.clear_rules();
    assert_eq!(phases(&cli), ["failed"]);
    cli.fails(3, "push --resume");
    // Of one target, too, unless the request failed that may have set the tag.
    let single = format!("push app docker://{}/single:2", one.address());
    one.on(Method::Put, "/v2/single/manifests/sha256:*").always().reply(403);
    one.on(Method::Put, "/v2/single/manifests/2").always().reply(403);
    for phase in ["failed", "content"] {
        assert_eq!(cli.run(&single).code, Some(6));
        assert_eq!(phases(&cli)[0], phase);
        one.clear_rules();
        one.on(Method::Put, "/v2/single/manifests/2").always().reply(403);
    }
    one.clear_rules();
    cli.ok("push --resume");
    let ids = publications(&cli);
    cli.ok(&format!("publications rm {} {}", ids[0]["id"].as_str().unwrap(), ids[1]["id"].as_str().unwrap()));
    cut(&cli.workspace, &two, (Method::Put, "/v2/app/manifests/1"), &words);
    cli.ok(&words);
    assert_eq!(phases(&cli), ["done", "superseded", "failed"]);
    cli.fails(3, "push --abort").says("nothing_cut_off", &["manifest publications"]);
    let ids: Vec<String> =
        publications(&cli).iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        cli.ok(&format!("publications rm {} {}", ids[1], ids[2])),
        format!("{}\n{}\n", ids[1], ids[2])
    );
    assert_eq!(phases(&cli), ["done"]);
    cli.fails(3, &format!("publications rm {}", ids[1])).says("no_such_publication", &[&ids[1]]);
    cli.fails(2, "publications rm app").says("misuse", &["16 lower-case hex digits"]);
}

#[test]
fn the_one_of_several_is_chosen_by_list_or_id_also_when_the_list_is_gone() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    app(&cli);
    cli.ok("cp app web");
    for list in ["app", "web"] {
        let words = format!("push {list} docker://{}/{list}:1,2", registry.address());
        cut(&cli.workspace, &registry, (Method::Put, &format!("/v2/{list}/manifests/2")), &words);
    }
    cli.ok("push --resume app");
    assert_eq!(phases(&cli), ["tags", "done"]);
    assert_eq!(registry.tags("web"), ["1"]);
    cli.ok("rm web");
    let ran = cli.run("push --resume web");
    assert!(ran.ok().starts_with("sha256:") && ran.stderr.contains("the push is not noted"), "{ran:?}");
    assert_eq!(registry.tags("web"), ["1", "2"]);
    let words = format!("push app docker://{}/again:1,2", registry.address());
    cut(&cli.workspace, &registry, (Method::Put, "/v2/again/manifests/2"), &words);
    let id = publications(&cli)[0]["id"].as_str().unwrap().to_owned();
    cli.ok(&format!("push --resume {id}"));
    assert_eq!(registry.tags("again"), ["1", "2"]);
}

#[test]
fn one_target_and_one_tag_are_resumed_too_and_a_layout_is_a_target() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    let out = cli.workspace.path().join("out");
    let words = format!("push app oci:{}:1 docker://{}/app", out.display(), registry.address());
    cut(&cli.workspace, &registry, (Method::Put, "/v2/app/manifests/sha256:*"), &words);
    cli.ok("push --resume");
    assert_eq!(cli.ok(&format!("inspect --raw oci:{}:1", out.display())), cli.ok("inspect --raw app"));
    let words = format!("push app docker://{}/single:1", registry.address());
    cut(&cli.workspace, &registry, (Method::Put, "/v2/single/manifests/1"), &words);
    cli.ok("push --resume");
    assert_eq!(registry.tag("single", "1"), Some(digest));
    assert_eq!(phases(&cli), ["done", "done"]);
}

#[test]
fn the_short_way_leaves_no_journal_unless_it_turns_out_to_be_long() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    Image::new("linux/amd64").push_to(&registry, "app", "amd64");
    cli.ok(&format!("create short {}/app:amd64", registry.address()));
    let to = format!("docker://{}/app:1", registry.address());
    cli.ok(&format!("push short {to}"));
    assert!(publications(&cli).is_empty());
    registry.on(Method::Put, "/v2/app/manifests/2").reply(404);
    cli.ok(&format!("push short docker://{}/app:2", registry.address()));
    assert_eq!(phases(&cli), ["done"]);
}

#[test]
fn where_nothing_can_be_written_down_the_push_goes_on_with_a_warning() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    std::fs::write(cli.workspace.store().join("publications"), "").unwrap();
    let ran = cli.run(&format!("push app docker://{}/app:1,2", registry.address()));
    assert_eq!((ran.code, registry.tag("app", "2")), (Some(0), Some(digest)));
    assert!(ran.stderr.contains("warning: it is not written down how far this push is"), "{ran:?}");
}

#[test]
fn what_a_resumption_does_not_take_is_misuse() {
    let cli = Cli::new();
    for words in [
        "push",
        "push --resume --abort",
        "push --resume app docker://r.io/app:1",
        "push --resume app --best-effort docker://r.io/app:1",
        "push --resume --require linux/amd64",
        "push --resume --expect-current any",
        "push --abort --all=false",
        "push --abort --dry-run",
        "push --abort --digestfile x",
    ] {
        cli.fails(2, words).says("misuse", &[]);
    }
}

#[test]
fn the_newest_hundred_are_kept() {
    let cli = Cli::new();
    app(&cli);
    for number in 0..103 {
        cli.ok(&format!("push app oci:{}/{}:1", cli.workspace.path().display(), number % 2));
    }
    assert_eq!(publications(&cli).len(), 100);
}
