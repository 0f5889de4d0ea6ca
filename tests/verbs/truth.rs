//! `manifest push`: whether the list tells the truth of its entries, judged before a byte is sent.

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Index, Method, Tar};
use serde_json::{Value, json};

use crate::in_process::Cli;

/// The beginning of a 64-bit little-endian ELF program for amd64.
fn amd64_program() -> Vec<u8> {
    let mut elf = vec![0; 120];
    elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    (elf[16], elf[18]) = (2, 62);
    elf
}

/// What was sent to a registry, but for questions.
fn sent(registry: &FakeRegistry) -> usize {
    let asks = |method: &Method| *method == Method::Get || *method == Method::Head;
    registry.requests().iter().filter(|request| !asks(&request.method)).count()
}

fn truth(report: &Value) -> (u64, usize) {
    let configs = &report["truth"]["configs"];
    (configs["checked"].as_u64().unwrap(), configs["unchecked"].as_array().unwrap().len())
}

#[test]
fn a_list_that_says_of_an_image_what_its_configuration_contradicts_is_refused() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let to = format!("docker://{}/copy:1", registry.address());
    cli.ok(&format!("create app {} {}", cli.image("linux/amd64"), cli.image("linux/arm64")));
    cli.ok("annotate app --platform linux/arm64 --arch s390x");
    for mode in ["", "--check-config known", "--check-config all", "--dry-run"] {
        cli.fails(8, &format!("push {mode} app {to}")).says(
            "gate",
            &[
                "the list says that it is for linux/s390x, its configuration linux/arm64",
                "no tag was moved",
                "manifest annotate",
                "--check-config none",
            ],
        );
    }
    assert_eq!(registry.requests().len(), 0);
    let report = cli.json(&format!("push --check-config none app {to}"));
    assert_eq!(truth(&report), (0, 0));
    cli.fails(2, &format!("push --check-config some app {to}")).says("misuse", &["known, all or none"]);
}

#[test]
fn variants_and_other_spellings_are_no_contradiction() {
    let cli = Cli::new();
    cli.ok(&format!("create app {}", cli.image("linux/arm64")));
    cli.ok("annotate app --platform linux/arm64 --variant v8");
    let report = cli.json(&format!("push app oci:{}:1", cli.workspace.path().join("out").display()));
    assert_eq!(truth(&report), (1, 0));
}

#[test]
fn what_was_read_when_it_was_added_is_judged_without_a_request() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let host = registry.address();
    let one = Image::new("linux/amd64").push_to(&registry, "app", "amd64");
    Image::new("linux/arm64").push_to(&registry, "app", "arm64");
    cli.ok(&format!("create app {host}/app:amd64 {host}/app:arm64"));
    registry.clear_requests();
    let ran = cli.run(&format!("push app docker://{host}/app:1 -v"));
    assert!(ran.stderr.contains("2 of 2 platforms compared with configurations\n"), "{ran:?}");
    let gets = || registry.requests().iter().filter(|request| request.target.contains("/blobs/")).count();
    assert_eq!(gets(), 0);

    // What was forgotten is told of, and read only when that is asked for.
    cli.ok(&format!("cache rm {host}/app:amd64"));
    let push = format!("push app docker://{host}/app:2");
    let ran = cli.run(&push);
    assert!(
        ran.stderr.contains("1 of 2 platforms compared with configurations; --check-config all"),
        "{ran:?}"
    );
    let report = cli.json(&push);
    assert_eq!(truth(&report), (1, 1));
    assert_eq!(report["truth"]["configs"]["unchecked"][0]["digest"], one.to_string());
    assert_eq!(gets(), 0);
    assert_eq!(truth(&cli.json(&format!("{push} --check-config all"))), (2, 0));
    assert_eq!(gets(), 1);
}

#[test]
fn all_reads_what_is_not_at_hand_and_finds_what_is_not_true() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let host = registry.address();
    Image::new("linux/arm64").push_to(&registry, "app", "arm64");
    // Who says what it is for is believed, and nothing more is read then.
    cli.ok("create app");
    cli.ok(&format!("add app {host}/app:arm64 --os linux --arch amd64"));
    registry.clear_requests();
    cli.fails(8, &format!("push app docker://{host}/app:1 --check-config all"))
        .says("gate", &["for linux/amd64, its configuration linux/arm64"]);
    assert_eq!(sent(&registry), 0);
    cli.ok(&format!("push app docker://{host}/app:1"));
}

#[test]
fn programs_for_another_machine_are_refused_when_that_is_asked_for() {
    let (cli, from, to) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let wrong = Image::new("linux/arm64").files(Tar::new().program("bin/app", amd64_program()));
    wrong.push_to(&from, "app", "arm64");
    let right = Image::new("linux/amd64").files(Tar::new().program("bin/app", amd64_program()));
    right.push_to(&from, "app", "amd64");
    cli.ok(&format!("create app {0}/app:amd64 {0}/app:arm64", from.address()));
    let target = format!("docker://{}/app:1", to.address());
    cli.fails(8, &format!("push app {target} --check-executables"))
        .says("gate", &["bin/app is built for amd64 (ELF), and the image is for linux/arm64", "built anew"]);
    assert_eq!(to.requests().len(), 0);
    cli.ok("remove app --platform linux/arm64");
    let report = cli.json(&format!("push app {target} --check-executables"));
    assert_eq!(report["truth"]["executables"], json!({"checked": 1, "unchecked": []}));
    cli.ok(&format!("add app {}", cli.image("linux/riscv64")));
    let ran = cli.run(&format!("push app {target} --check-executables --allow-shrink"));
    assert!(ran.stderr.contains("has no programs that linux loads"), "{ran:?}");
}

/// Puts an index into a repository, under a tag; an entry is a digest and a platform, or a list.
fn put_list(registry: &FakeRegistry, tag: &str, entries: &[(&str, Option<&str>)]) -> String {
    let entry = |(digest, platform): &(&str, Option<&str>)| {
        let (media_type, bytes) = registry.manifest("app", digest).unwrap();
        let mut entry = json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() });
        if let Some((os, architecture)) = platform.and_then(|platform| platform.split_once('/')) {
            entry["platform"] = json!({ "os": os, "architecture": architecture });
        }
        entry
    };
    let index = "application/vnd.oci.image.index.v1+json";
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    let bytes = json!({ "schemaVersion": 2, "mediaType": index, "manifests": entries }).to_string();
    registry.put_manifest("app", tag, index, bytes.clone());
    let digest = Digest::sha256(bytes.as_bytes()).to_string();
    registry.put_manifest("app", &digest, index, bytes);
    digest
}

/// A registry, and the digests of images in it.
fn with_images(platforms: &[&str]) -> (FakeRegistry, Vec<String>) {
    let registry = FakeRegistry::start();
    let put = |(n, platform): (usize, &&str)| {
        Image::new(platform).push_to(&registry, "app", &format!("image{n}")).to_string()
    };
    let digests = platforms.iter().enumerate().map(put).collect();
    (registry, digests)
}

#[test]
fn what_a_list_in_a_list_says_is_compared_and_named_with_the_way_to_it() {
    let (cli, to) = (Cli::new(), FakeRegistry::start());
    let (from, images) = with_images(&["linux/amd64", "linux/arm64"]);
    let inner =
        put_list(&from, "inner", &[(&images[0], Some("linux/amd64")), (&images[1], Some("linux/s390x"))]);
    let middle = put_list(&from, "middle", &[(&inner, None)]);
    cli.ok(&format!("create app {}/app:image0", from.address()));
    cli.ok(&format!("add app --nest docker://{}/app:middle", from.address()));
    let push = format!("push app docker://{}/app:1", to.address());
    from.clear_requests();
    let way =
        format!("of {} in the list {inner} in the list {middle}, the list says that it is for", images[1]);
    cli.fails(8, &format!("{push} --check-config all"))
        .says("gate", &[&way, "linux/s390x, its configuration linux/arm64", "no tag was moved"]);
    assert_eq!(to.requests().len(), 0);
    from.clear_requests();
    assert_eq!(cli.run(&format!("{push} --check-config all")).code, Some(8));
    let mut asked: Vec<String> = from.requests().into_iter().map(|request| request.target).collect();
    asked.sort();
    let each = asked.len();
    asked.dedup();
    assert_eq!(asked.len(), each, "{asked:?}");

    // What is not at hand is told of, and costs nothing.
    from.clear_requests();
    let report = cli.json(&format!("{push} --dry-run"));
    assert_eq!(from.requests().iter().filter(|request| request.target.contains("/blobs/")).count(), 0);
    let left = report["truth"]["configs"]["unchecked"].as_array().unwrap().clone();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["digest"], inner);
    assert_eq!(left[0]["why"], format!("in the list {middle} is a list that is not at hand"));
    cli.ok(&format!("{push} --check-config none"));
}

#[test]
fn lists_in_lists_that_lie_in_a_layout_are_compared_unasked() {
    let (cli, from) = (Cli::new(), FakeRegistry::start());
    let (here, out) = (cli.image("linux/arm64"), cli.workspace.path().join("out"));
    let size = std::fs::metadata(cli.layout().join("blobs/sha256").join(&here.digest[7..])).unwrap().len();
    let list = |platform: &str| {
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": here.digest,
                "size": size,
                "platform": { "os": "linux", "architecture": platform },
            }],
        })
    };
    let right = cli.put_document(&list("arm64"), "right");
    cli.ok(&format!("create right --nest {right}"));
    assert_eq!(truth(&cli.json(&format!("push right oci:{}:1", out.display()))), (1, 0));
    let wrong = cli.put_document(&list("s390x"), "wrong");
    cli.ok(&format!("create wrong --nest {wrong}"));
    let way = format!("of {} in the list {}, the list says", here.digest, wrong.digest);
    for words in ["", "--on-conflict merge"] {
        cli.fails(8, &format!("push wrong docker://{}/app:1 {words}", from.address()))
            .says("gate", &[&way, "made anew", "--check-config none"]);
    }
    assert_eq!(from.requests().len(), 0);
}

#[test]
fn programs_in_lists_in_lists_are_looked_at() {
    let (cli, from, to) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let wrong = Image::new("linux/arm64").files(Tar::new().program("bin/app", amd64_program()));
    let inner = Index::of(&[&wrong]).push_to(&from, "app", "inner");
    cli.ok(&format!("create app --nest docker://{}/app:inner", from.address()));
    let push = format!("push app docker://{}/app:1", to.address());
    let way = format!("of {} in the list {inner}, bin/app is built for amd64", wrong.digest());
    cli.fails(8, &format!("{push} --check-executables")).says("gate", &[&way]);
    assert_eq!(to.requests().len(), 0);
    cli.ok(&push);
}

#[test]
fn a_platform_of_a_list_in_the_list_must_be_allowed_and_is_not_one_that_is_required() {
    let (cli, to) = (Cli::new(), FakeRegistry::start());
    let (from, images) = with_images(&["linux/amd64", "linux/arm64", "linux/s390x"]);
    let two = [(images[1].as_str(), Some("linux/arm64")), (&images[2], Some("linux/s390x"))];
    let inner = put_list(&from, "inner", &two);
    cli.ok(&format!("create app {}/app:image0", from.address()));
    cli.ok(&format!("add app --nest docker://{}/app:inner", from.address()));
    let push = format!("push app docker://{}/app:1", to.address());
    from.clear_requests();
    let only = format!("no entry for linux/arm64, which is required; one is in the list {inner}");
    for mode in ["known", "all", "none"] {
        cli.fails(8, &format!("{push} --require linux/arm64 --check-config {mode}"))
            .says("gate", &[&only, "where many clients do not look", "manifest add --all"]);
    }
    let not = format!("{} in the list {inner} is for linux/s390x", images[2]);
    for words in ["", "--check-config none", "--on-conflict merge"] {
        cli.fails(8, &format!("{push} --allow linux/amd64,linux/arm64 {words}"))
            .says("gate", &[&not, "which is not among the platforms allowed"]);
    }
    assert_eq!((from.requests().len(), to.requests().len()), (0, 0), "all of it was at hand");
    // What is nowhere is not said to be in a list.
    let ran = cli.run(&format!("{push} --require linux/riscv64"));
    assert!(!ran.stderr.contains("one is in the list"), "{ran:?}");
    cli.ok(&format!("{push} --require linux/amd64 --allow linux/amd64,linux/arm64,linux/s390x"));

    // Lists may have the same platforms as others, but each only once.
    let again =
        put_list(&from, "again", &[(&images[0], Some("linux/amd64")), (&images[1], Some("linux/arm64"))]);
    cli.ok(&format!("add app --nest docker://{}/app@{again}", from.address()));
    cli.ok(&push);
    let two = [(images[0].as_str(), Some("linux/amd64")), (&images[1], Some("linux/amd64"))];
    let twice = put_list(&from, "twice", &two);
    cli.ok(&format!("add app --nest docker://{}/app:twice", from.address()));
    cli.fails(8, &push).says("gate", &[&format!("2 entries in the list {twice} are for linux/amd64")]);
    cli.ok(&format!("{push} --allow-duplicate"));
}

/// Eight lists in the list are followed, and one more is an error for who wants to know all.
#[test]
fn lists_in_lists_are_compared_as_deep_as_they_may_lie() {
    let cli = Cli::new();
    let (from, images) = with_images(&["linux/arm64"]);
    let mut list = put_list(&from, "0", &[(&images[0], Some("linux/s390x"))]);
    for depth in 1..=8 {
        list = put_list(&from, &depth.to_string(), &[(&list, None)]);
        if depth == 7 {
            cli.ok(&format!("create deep --nest docker://{}/app:7", from.address()));
        }
    }
    cli.ok(&format!("create deeper --nest docker://{}/app:8", from.address()));
    let to = FakeRegistry::start();
    cli.fails(8, &format!("push deep docker://{}/app:1 --check-config all", to.address()))
        .says("gate", &["for linux/s390x, its configuration linux/arm64"]);
    cli.fails(7, &format!("push deeper docker://{}/app:1 --check-config all", to.address()))
        .says("bad_content", &["more than 8 levels deep"]);
    assert_eq!(to.requests().len(), 0);
}
