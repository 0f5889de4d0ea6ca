//! DUR-40. Two jobs that push to one tag: neither loses what the other has published, and who comes second is told.

use std::thread;

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Gate, Image, Index, Method, Ran};
use serde_json::{Value, json};

use crate::in_process::Cli;

fn image(platform: &str) -> Image {
    Image::new(platform)
}

/// What another job has published.
fn theirs(registry: &FakeRegistry, platforms: &[&str], tag: &str) -> Digest {
    let images: Vec<Image> = platforms.iter().map(|platform| image(platform).layer("theirs")).collect();
    Index::of(&images.iter().collect::<Vec<_>>()).push_to(registry, "app", tag)
}

/// A list of ours, and its digest.
fn ours(cli: &Cli, platforms: &[&str]) -> Digest {
    let images: Vec<String> = platforms.iter().map(|platform| cli.image(platform).to_string()).collect();
    cli.ok(&format!("create app {}", images.join(" ")));
    cli.json("inspect app")["document"]["digest"].as_str().unwrap().parse().unwrap()
}

fn document(registry: &FakeRegistry, tag: &str) -> Value {
    serde_json::from_slice(&registry.manifest("app", tag).unwrap().1).unwrap()
}

/// The architectures that a tag stands for, in their order.
fn architectures(registry: &FakeRegistry, tag: &str) -> Vec<String> {
    let document = document(registry, tag);
    let entries = document["manifests"].as_array().unwrap().iter();
    entries.map(|entry| entry["platform"]["architecture"].as_str().unwrap().to_owned()).collect()
}

fn merging(registry: &FakeRegistry, tags: &str) -> String {
    format!("push app docker://{}/app:{tags} --on-conflict merge --retry-delay 1ms", registry.address())
}

/// Runs a push, does something when this request has come, and lets it go on.
fn meanwhile(
    cli: &Cli,
    registry: &FakeRegistry,
    (method, path, skip): (Method, &str, u64),
    words: &str,
    other: impl FnOnce(),
) -> Ran {
    let gate = Gate::new();
    let rule = registry.on(method, path).skip(skip).hold(&gate);
    thread::scope(|threads| {
        let push = threads.spawn(|| cli.run(words));
        while rule.hits() == 0 {
            assert!(!push.is_finished(), "it ended without that request");
            thread::yield_now();
        }
        other();
        gate.open();
        push.join().unwrap()
    })
}

#[test]
fn what_a_tag_has_for_other_platforms_is_merged_behind_ours() {
    let (cli, registry, second) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let digest = ours(&cli, &["linux/amd64", "linux/arm64"]);
    cli.ok("annotate --index app --annotation ours=stays");
    let draft = cli.json("inspect app")["document"]["digest"].clone();
    assert_ne!(draft, digest.to_string());
    theirs(&registry, &["linux/s390x", "linux/arm64", "linux/ppc64le"], "1");
    let plain = format!("push app docker://{}/app:1", registry.address());
    cli.fails(8, &plain)
        .says("gate", &["would lose linux/ppc64le, linux/s390x", "--on-conflict merge keeps them"]);
    let words = format!("{} docker://{}/copy:1", merging(&registry, "1"), second.address());
    let planned = cli.json(&format!("{words} --dry-run"));
    assert_eq!(architectures(&registry, "1"), ["s390x", "arm64", "ppc64le"]);
    let report = cli.json(&words);
    assert_eq!(architectures(&registry, "1"), ["amd64", "arm64", "s390x", "ppc64le"]);
    let pushed = registry.tag("app", "1").unwrap().to_string();
    assert_eq!((&report["digest"], &planned["digest"]), (&json!(pushed), &json!(pushed)));
    assert_eq!(second.tag("copy", "1").unwrap().to_string(), pushed, "one list goes to all");
    let document = document(&registry, "1");
    assert_eq!(document["annotations"], json!({"ours": "stays"}));
    let tag = format!("docker://{}/app:1", registry.address());
    let s390x = &document["manifests"][2]["digest"];
    assert_eq!(report["merged"][0], json!({"tag": tag, "digest": s390x, "platform": "linux/s390x"}));
    assert_eq!(report["merged"].as_array().unwrap().len(), 2);
    assert!(second.manifest("copy", s390x.as_str().unwrap()).is_some(), "what is merged is brought along");
    assert_eq!(cli.json("inspect app")["document"]["digest"], draft, "the list in the store is what it was");
    assert_eq!(cli.json("ls")["lists"][0]["pushed"]["digest"], pushed);
    let ran = cli.run(&words);
    assert!(
        ran.stderr.contains(&format!("merged {} (linux/s390x) from {tag}", s390x.as_str().unwrap())),
        "{ran:?}"
    );
}

#[test]
fn a_tag_that_is_not_what_was_expected_is_merged_and_a_new_one_is_set() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = ours(&cli, &["linux/amd64"]);
    theirs(&registry, &["linux/amd64"], "1");
    let words = format!("{} --expect-current absent", merging(&registry, "1"));
    cli.ok(&words);
    assert_eq!(registry.tag("app", "1"), Some(digest), "there was nothing to merge");
    theirs(&registry, &["linux/arm64"], "2");
    cli.ok(&format!("{} --expect-current absent", merging(&registry, "2,new")));
    assert_eq!(registry.tag("app", "2"), registry.tag("app", "new"));
    assert_eq!(architectures(&registry, "2"), ["amd64", "arm64"]);
}

#[test]
fn attestations_come_with_their_image_and_go_with_it() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    ours(&cli, &["linux/amd64"]);
    let (amd64, arm64) = (image("linux/amd64").layer("old"), image("linux/arm64"));
    let mut list: Value = serde_json::from_slice(&Index::of(&[&amd64, &arm64]).manifest()).unwrap();
    Index::of(&[&amd64, &arm64]).push_to(&registry, "app", "images");
    for described in [&amd64, &arm64] {
        let attestation = image("unknown/unknown").layer(described.digest().to_string());
        attestation.push_to(&registry, "app", "attestation");
        list["manifests"].as_array_mut().unwrap().push(json!({
            "mediaType": attestation.media_type(), "digest": attestation.digest(), "size": attestation.manifest().len(),
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {
                "vnd.docker.reference.digest": described.digest(), "vnd.docker.reference.type": "attestation-manifest",
            },
        }));
    }
    registry.put_manifest("app", "1", "application/vnd.oci.image.index.v1+json", list.to_string());
    cli.ok(&merging(&registry, "1"));
    assert_eq!(architectures(&registry, "1"), ["amd64", "arm64", "unknown"]);
    let attested = &document(&registry, "1")["manifests"][2]["annotations"]["vnd.docker.reference.digest"];
    assert_eq!(attested, &json!(arm64.digest()));
}

#[test]
fn what_cannot_be_merged_is_refused() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let docker = cli.put(&image("linux/amd64").docker(), "docker");
    cli.ok(&format!("create app {docker}"));
    theirs(&registry, &["linux/arm64"], "1");
    cli.fails(8, &merging(&registry, "1")).says("oci_child", &["--format oci"]);
    cli.ok(&format!("{} --format oci", merging(&registry, "1")));
    assert_eq!(architectures(&registry, "1"), ["amd64", "arm64"]);
    let before = image("linux/arm64").push_to(&registry, "app", "image");
    let words = format!("{} --expect-current absent", merging(&registry, "image"));
    cli.fails(4, &words).says("not_mergeable", &["app:image means cannot be merged"]);
    assert_eq!(registry.tag("app", "image"), Some(before));
    // Gates judge what comes of it.
    theirs(&registry, &["linux/arm64"], "2");
    cli.fails(8, &format!("{} --format oci --allow linux/amd64", merging(&registry, "2")))
        .says("gate", &["is for linux/arm64"]);
    cli.ok(&format!("{} --format oci --require linux/amd64,linux/arm64", merging(&registry, "2")));
}

#[test]
fn a_tag_that_moves_while_content_goes_is_merged_or_judged_again() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    ours(&cli, &["linux/amd64"]);
    let content = (Method::Put, "/v2/app/manifests/sha256:*", 0);
    let ran = meanwhile(&cli, &registry, content, &merging(&registry, "1"), || {
        theirs(&registry, &["linux/arm64"], "1");
    });
    assert_eq!(
        (ran.code, architectures(&registry, "1")),
        (Some(0), vec!["amd64".to_owned(), "arm64".to_owned()])
    );
    assert!(ran.stderr.contains("app:1 has been moved meanwhile"), "{ran:?}");
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    ours(&cli, &["linux/amd64"]);
    let words = format!("push app docker://{}/app:1", registry.address());
    let ran = meanwhile(&cli, &registry, content, &words, || {
        theirs(&registry, &["linux/arm64"], "1");
    });
    assert!(ran.code == Some(8) && ran.stderr.contains("would lose linux/arm64"), "{ran:?}");
    assert_eq!(architectures(&registry, "1"), ["arm64"]);
    // Of several tags none has moved.
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    ours(&cli, &["linux/amd64"]);
    let ran = meanwhile(&cli, &registry, content, &merging(&registry, "1,2"), || {
        theirs(&registry, &["linux/arm64"], "2");
    });
    assert_eq!((ran.code, registry.tag("app", "1")), (Some(0), registry.tag("app", "2")), "{ran:?}");
    assert_eq!(architectures(&registry, "1"), ["amd64", "arm64"]);
}

#[test]
fn a_registry_that_always_refuses_ends_the_push_after_nine_rounds() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    ours(&cli, &["linux/amd64"]);
    let rule = registry.on(Method::Put, "/v2/app/manifests/1").always().reply(412);
    let ran = cli.run(&merging(&registry, "1"));
    assert!(ran.code == Some(4) && rule.hits() == 9, "{} {ran:?}", rule.hits());
    assert_eq!(cli.json("publications")["publications"][0]["phase"], "failed");
}

#[test]
fn where_nobody_compares_the_tag_is_read_back() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = ours(&cli, &["linux/amd64"]);
    registry.ignore_preconditions();
    let read_back = (Method::Head, "/v2/app/manifests/1", 1);
    let ran = meanwhile(&cli, &registry, read_back, &merging(&registry, "1"), || {
        assert_eq!(registry.tag("app", "1"), Some(digest));
        theirs(&registry, &["linux/arm64"], "1");
    });
    assert_eq!(
        (ran.code, architectures(&registry, "1")),
        (Some(0), vec!["amd64".to_owned(), "arm64".to_owned()])
    );
    let warned = ran.stderr.matches("sets a tag whatever it means by then").count();
    assert_eq!(warned, 1, "{ran:?}");
    // What another job has merged ours into is fine.
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = ours(&cli, &["linux/amd64"]);
    registry.ignore_preconditions();
    let ran = meanwhile(&cli, &registry, read_back, &merging(&registry, "1"), || {
        let mut list = document(&registry, "1");
        list["annotations"] = json!({"by": "another job"});
        registry.put_manifest("app", "1", "application/vnd.oci.image.index.v1+json", list.to_string());
    });
    assert_eq!(ran.ok(), format!("{digest}\n"));
    assert_eq!(document(&registry, "1")["annotations"]["by"], "another job");
    // Without merging, who was overwritten is told.
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    ours(&cli, &["linux/amd64"]);
    registry.ignore_preconditions();
    let words = format!("push app docker://{}/app:1 --expect-current absent", registry.address());
    let ran = meanwhile(&cli, &registry, read_back, &words, || {
        theirs(&registry, &["linux/arm64"], "1");
    });
    assert_eq!((ran.code, architectures(&registry, "1")), (Some(4), vec!["arm64".to_owned()]), "{ran:?}");
}

#[test]
fn an_archive_appears_when_no_tag_is_taken_over_any_more() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    ours(&cli, &["linux/amd64"]);
    registry.ignore_preconditions();
    let file = cli.workspace.path().join("app.tar");
    let words = format!("{} oci-archive:{}:1", merging(&registry, "1"), file.display());
    // The first look is before the tag is set, the second is behind it.
    let read_back = (Method::Head, "/v2/app/manifests/1", 1);
    let ran = meanwhile(&cli, &registry, read_back, &words, || {
        assert!(registry.tag("app", "1").is_some() && !file.exists());
        theirs(&registry, &["linux/arm64"], "1");
    });
    assert_eq!(
        (ran.code, architectures(&registry, "1")),
        (Some(0), vec!["amd64".to_owned(), "arm64".to_owned()]),
        "{ran:?}"
    );
    let digest = registry.tag("app", "1").unwrap();
    cli.ok(&format!("inspect oci-archive:{}@{digest}", file.display()));
}

#[test]
fn a_registry_that_compares_is_not_warned_of() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    ours(&cli, &["linux/amd64"]);
    let ran = cli.run(&merging(&registry, "1"));
    assert!(ran.code == Some(0) && !ran.stderr.contains("warning"), "{ran:?}");
    let ran = cli.run(&format!("push app docker://{}/app:2 --expect-current absent", registry.address()));
    assert!(ran.code == Some(0) && !ran.stderr.contains("warning"), "{ran:?}");
}

#[test]
fn who_waits_for_a_tag_names_its_holder_and_one_that_died_keeps_nobody_waiting() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = ours(&cli, &["linux/amd64"]);
    let words = format!("push app docker://{}/app:1", registry.address());
    let rule = registry.on(Method::Put, "/v2/app/manifests/1").always().stall();
    let running = cli.workspace.start(env!("CARGO_BIN_EXE_manifest"), words.split_whitespace());
    while rule.hits() == 0 {
        thread::yield_now();
    }
    let id = running.id();
    cli.fails(9, &format!("--lock-timeout 50ms {words}"))
        .says("busy", &[&format!("the tag docker://{}/app:1 is in use by process {id}", registry.address())]);
    // Another tag is nobody's.
    cli.ok(&format!("--lock-timeout 0 push app docker://{}/app:2", registry.address()));
    drop(running);
    registry.clear_rules();
    cli.ok(&format!("--lock-timeout 0 {words}"));
    assert_eq!(registry.tag("app", "1"), Some(digest));
    let gc = cli.run("gc --grace 0s");
    assert_eq!(gc.code, Some(0), "{gc:?}");
    let locks = std::fs::read_dir(cli.workspace.store().join("locks")).unwrap();
    let left: Vec<_> = locks.map(|lock| lock.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|lock| !lock.starts_with("tag-")), "{left:?}");
}

#[test]
fn a_merge_that_was_killed_is_resumed_with_the_merged_list_or_taken_back() {
    for verb in ["--resume", "--abort"] {
        let (cli, registry) = (Cli::new(), FakeRegistry::start());
        ours(&cli, &["linux/amd64"]);
        let before = theirs(&registry, &["linux/arm64"], "1");
        let rule = registry.on(Method::Put, "/v2/app/manifests/2").always().stall();
        let words = merging(&registry, "1,2");
        let mut running = cli.workspace.start(env!("CARGO_BIN_EXE_manifest"), words.split_whitespace());
        while rule.hits() == 0 {
            assert!(!running.has_ended(), "{:?}", running.wait());
            thread::yield_now();
        }
        drop(running);
        registry.clear_rules();
        let merged = registry.tag("app", "1").unwrap();
        assert_eq!(architectures(&registry, "1"), ["amd64", "arm64"]);
        let publication = cli.json("publications")["publications"][0].clone();
        assert_eq!((&publication["digest"], &publication["phase"]), (&json!(merged), &json!("tags")));
        let report = cli.json(&format!("push {verb} app"));
        assert_eq!(report["digest"], json!(merged));
        let tags = match verb {
            "--resume" => (Some(merged), Some(merged)),
            _ => (Some(before), None),
        };
        assert_eq!((registry.tag("app", "1"), registry.tag("app", "2")), tags);
    }
}

#[test]
fn a_later_round_goes_back_to_what_was_there_at_first() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    ours(&cli, &["linux/amd64"]);
    let before = theirs(&registry, &["linux/arm64"], "1");
    registry.keep_tags();
    // The second tag moves between two looks at it, and cannot be set in the end; the first one is ours by then.
    let refused = registry.on(Method::Put, "/v2/app/manifests/2").times(1).reply(412);
    let denied = registry.on(Method::Put, "/v2/app/manifests/2").always().reply(403);
    let ran = cli.run(&merging(&registry, "1,2"));
    assert_eq!((ran.code, refused.hits(), registry.tag("app", "1")), (Some(6), 1, Some(before)), "{ran:?}");
    assert!(denied.hits() <= 1);
}

#[test]
fn a_target_that_need_not_succeed_fails_alone_when_somebody_else_has_its_tag() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let digest = ours(&cli, &["linux/amd64"]);
    // Whichever of the two tags is asked for first.
    for (needed, other) in [(&one, &two), (&two, &one)] {
        let theirs = format!("push app docker://{}/app:busy", other.address());
        let rule = other.on(Method::Put, "/v2/app/manifests/busy").always().stall();
        let running = cli.workspace.start(env!("CARGO_BIN_EXE_manifest"), theirs.split_whitespace());
        while rule.hits() == 0 {
            thread::yield_now();
        }
        let metadata = cli.workspace.path().join("metadata.json");
        let words = format!(
            "--lock-timeout 50ms push app docker://{}/app:1,2 --best-effort docker://{}/app:a,busy,c \
             --metadata-file {}",
            needed.address(),
            other.address(),
            metadata.display()
        );
        let ran = cli.run(&words);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let left_out = format!("warning: docker://{}/app:a,busy,c was left out", other.address());
        assert!(ran.stderr.contains(&left_out), "{ran:?}");
        assert_eq!((needed.tag("app", "1"), needed.tag("app", "2")), (Some(digest), Some(digest)));
        assert_eq!((other.tag("app", "a"), other.tag("app", "c")), (None, None), "a tag moved all the same");
        let report: Value = serde_json::from_slice(&std::fs::read(metadata).unwrap()).unwrap();
        assert_eq!(report["targets"][0].get("failed"), None);
        let failed = report["targets"][1]["failed"].as_str().unwrap();
        assert!(failed.contains(&format!("app:busy is in use by process {}", running.id())), "{failed}");
        drop(running);
        other.clear_rules();
        // Whoever needs it waits, and is told.
        cli.ok(&words);
        assert_eq!(other.tag("app", "busy"), Some(digest));
    }
}
