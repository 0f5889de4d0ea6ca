//! Documents that mean two things, or too many.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use manifest_core::{Digest, MediaType};
use manifest_testkit::{FakeRegistry, Image, Index, Method, Ran, Workspace};
use serde_json::{Value, json};

use super::{command, manifest};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The commands that read an image in a registry.
fn reading(there: &str) -> [String; 6] {
    [
        format!("inspect {there}"),
        format!("create --if-exists replace app {there}"),
        format!("create --if-exists replace app --from {there}"),
        format!("create --if-exists replace app --all {there}"),
        format!("check {there}"),
        format!("diff {there} {there}"),
    ]
}

/// SEC-20, SEC-24, A7: what two readers could take for two things, nobody reads.
#[test]
fn a_document_that_two_readers_could_take_for_two_things_is_refused_everywhere() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    let image = Image::new("linux/amd64");
    image.push_to(&registry, "app", "v1");
    let digest = Digest::sha256(b"something").to_string();
    let part =
        format!(r#"{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":9}}"#);
    let entry = format!(r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":9}}"#);
    let of = |kind: &str, members: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{kind}",{members}}}"#);
    let image = format!(r#""config":{part},"layers":[]"#);
    let list = format!(r#""manifests":[{entry}]"#);
    let negative = entry.replace("\"size\":9", "\"size\":-1");
    let escaped = entry.replace("\"size\"", r#""dig\u0065st":"x","size""#);
    let upper = entry.replace(&digest, &digest.to_uppercase());
    for (name, content_type, body) in [
        ("both, as a list", INDEX, of(INDEX, &format!("{list},{image}"))),
        ("both, as an image", MANIFEST, of(MANIFEST, &format!("{image},{list}"))),
        (
            "both, in another case",
            MANIFEST,
            of(MANIFEST, &format!("{image},{}", list.replace("manifests", "Manifests"))),
        ),
        ("both, of no type", "", format!(r#"{{"schemaVersion":2,{image},{list}}}"#)),
        ("another content type", INDEX, of(MANIFEST, &image)),
        ("another type within", MANIFEST, of(INDEX, &list)),
        ("a member twice", INDEX, of(INDEX, &format!("{list},{list}"))),
        ("a member twice in an entry", INDEX, of(INDEX, &format!(r#""manifests":[{escaped}]"#))),
        ("a type twice", INDEX, of(INDEX, &format!(r#""mediaType":"{INDEX}",{list}"#))),
        ("another version", INDEX, of(INDEX, &list).replace(":2,", ":3,")),
        ("a size below nothing", INDEX, of(INDEX, &format!(r#""manifests":[{negative}]"#))),
        ("a digest in capitals", INDEX, of(INDEX, &format!(r#""manifests":[{upper}]"#))),
        ("a path for a digest", INDEX, of(INDEX, &list.replace(&digest, "sha256:../../x"))),
        ("more behind the end", INDEX, format!("{} {{}}", of(INDEX, &list))),
    ] {
        let rule = registry.on(Method::Get, "/v2/app/manifests/*").apply().body(body).always();
        let _rule = rule.without_header("docker-content-digest").header("content-type", content_type);
        for words in reading(&format!("docker://{}/app:v1", registry.address())) {
            let ran = manifest(&workspace, &words);
            assert_eq!(ran.code, Some(7), "{name}: {ran:?}");
        }
        registry.clear_rules();
    }
    assert_eq!(manifest(&workspace, "ls -q").ok(), "");
}

/// SEC-21.
#[test]
fn the_second_entry_is_looked_at_as_closely_as_the_first() {
    let (workspace, registry, there) = (Workspace::new(), FakeRegistry::start(), FakeRegistry::start());
    let (good, bad) =
        (Image::new("linux/amd64").layers(1, 1000, 1), Image::new("linux/arm64").layers(1, 1000, 2));
    let list = Index::of(&[&good, &bad]);
    list.push_to(&registry, "app", "v1");
    let from = format!("docker://{}/app:v1", registry.address());
    manifest(&workspace, &format!("create app --from {from}")).ok();
    let of_second = format!("/v2/app/manifests/{}", bad.digest());
    let blob = format!("/v2/app/blobs/{}", bad.blobs()[0].digest);
    for pattern in [of_second, blob] {
        registry.on(Method::Get, &pattern).wrong_bytes().always();
        let pushed = manifest(&workspace, &format!("push app docker://{}/app:1", there.address()));
        assert!(pushed.fails(7).contains("sha256:"), "{pushed:?}");
        assert_eq!(there.tag("app", "1"), None);
        let to = workspace.path().join("out");
        let exported = manifest(&workspace, "export app --oci-dir out");
        assert!(exported.code == Some(7) && !to.exists(), "{exported:?}");
        registry.clear_rules();
    }
    registry.on(Method::Get, &format!("/v2/app/manifests/{}", bad.digest())).wrong_bytes().always();
    let checked = manifest(&workspace, &format!("check {from}"));
    assert!(checked.code == Some(1) && checked.stdout.contains("linux/arm64"), "{checked:?}");
}

/// SEC-23.
#[test]
fn images_that_differ_only_in_the_version_of_their_system_are_told_apart() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    let versions = ["10.0.17763.1", "10.0.20348.1"];
    for (at, version) in versions.iter().enumerate() {
        Image::new("windows/amd64").os_version(version).push_to(&registry, "app", &format!("v{at}"));
    }
    let there = format!("docker://{}/app", registry.address());
    // The second time everything is remembered.
    for list in ["first", "second"] {
        manifest(&workspace, &format!("create {list} {there}:v0 {there}:v1")).ok();
        let list: Value =
            serde_json::from_str(manifest(&workspace, &format!("inspect --raw {list}")).ok()).unwrap();
        let found: Vec<_> =
            (0..2).map(|at| list["manifests"][at]["platform"]["os.version"].clone()).collect();
        assert_eq!(found, versions);
    }
}

/// SEC-25: a tag that moves while a command runs is read once.
#[test]
fn a_command_reads_a_tag_once_and_stays_with_what_it_meant() {
    let (workspace, registry, there) = (Workspace::new(), FakeRegistry::start(), FakeRegistry::start());
    let (old, new) = (
        Index::of(&[&Image::new("linux/amd64"), &Image::new("linux/arm64")]),
        Index::of(&[&Image::new("linux/s390x"), &Image::new("linux/386")]),
    );
    new.push_to(&registry, "app", "new");
    old.push_to(&registry, "app", "v1");
    let from = format!("docker://{}/app:v1", registry.address());
    let moves = || {
        registry.clear_rules();
        registry.clear_requests();
        registry.on(Method::Get, "/v2/app/manifests/v1").skip(1).substitute(new.manifest()).always();
    };
    for words in [
        format!("create app --all {from}"),
        format!("create other --from {from}"),
        format!("check {from}"),
        format!("inspect {from}"),
        "refresh app".to_owned(),
    ] {
        moves();
        manifest(&workspace, &words).ok();
        let by_tag = registry.requests().into_iter().filter(|asked| asked.path().ends_with("/manifests/v1"));
        assert!(by_tag.filter(|asked| asked.method == Method::Get).count() <= 1, "{words}");
    }
    manifest(&workspace, &format!("push other docker://{}/app:1", there.address())).ok();
    assert_eq!(there.tag("app", "1"), Some(old.digest()));
}

fn entry(digest: impl ToString, size: usize, kind: &str, platform: usize) -> Value {
    json!({
        "mediaType": kind, "digest": digest.to_string(), "size": size,
        "platform": {"os": "linux", "architecture": format!("cpu{platform}")},
    })
}

fn put_list(registry: &FakeRegistry, tag: &str, entries: &[Value]) -> (Digest, usize) {
    let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string();
    assert!(list.len() < 4 << 20, "{}", list.len());
    registry.put_manifest("app", tag, INDEX, list.clone());
    (Digest::sha256(list.as_bytes()), list.len())
}

/// Runs a command that must end in time and with little memory.
#[track_caller]
fn quickly(workspace: &Workspace, words: &str) -> Ran {
    let begun = Instant::now();
    let (ran, peak) = Ran::measured(&mut command(workspace, words));
    assert!(begun.elapsed() < Duration::from_secs(20), "{words}: {:?}", begun.elapsed());
    // Two documents of nearly 4 MiB, the largest that are read, in all the forms that they have on the way.
    assert!(peak < Some(192 << 20), "{words}: {peak:?}");
    assert!(ran.code.is_some_and(|code| code != 70), "{ran:?}");
    ran
}

/// SEC-59: the same child many times is one child.
#[test]
fn a_list_of_the_same_child_fifteen_thousand_times_asks_for_it_once() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    let image = Image::new("linux/amd64");
    image.push_to(&registry, "app", "one");
    let same: Vec<_> =
        (0..15_000).map(|n| entry(image.digest(), image.manifest().len(), MANIFEST, n)).collect();
    put_list(&registry, "same", &same);
    let from = format!("docker://{}/app:same", registry.address());
    for words in
        reading(&from).into_iter().chain([format!("push app docker://{}/other:1", registry.address())])
    {
        registry.clear_requests();
        let ran = quickly(&workspace, &words);
        let mut asked = BTreeMap::<String, usize>::new();
        for request in registry.requests() {
            *asked.entry(format!("{:?} {}", request.method, request.path())).or_default() += 1;
        }
        let most = asked.values().max().copied().unwrap_or_default();
        assert!(most <= 3 && asked.len() < 30, "{words}: {most} times, {}: {ran:?}", asked.len());
    }
}

/// SEC-59, A7: many children are many, and no more.
#[test]
fn a_list_of_fifteen_thousand_children_is_read_in_one_request() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    let wide: Vec<_> =
        (0..15_000).map(|n| entry(Digest::sha256(format!("{n}").as_bytes()), 1000, MANIFEST, n)).collect();
    put_list(&registry, "wide", &wide);
    let from = format!("docker://{}/app:wide", registry.address());
    for words in
        [format!("inspect {from}"), format!("create app --from {from}"), format!("create all --all {from}")]
    {
        registry.clear_requests();
        quickly(&workspace, &words).ok();
        assert_eq!(registry.requests().len(), 1, "{words}");
    }
    for words in ["inspect app", "ls", "annotate --index app --annotation a=b", "diff app all", "rm app"] {
        quickly(&workspace, words);
    }
}

/// SEC-59: lists within lists are followed to a depth and not further.
#[test]
fn lists_two_hundred_deep_are_left_at_the_ninth() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    let image = Image::new("linux/amd64");
    image.push_to(&registry, "app", "one");
    let mut child = (image.digest(), image.manifest().len(), MediaType::OCI_MANIFEST.to_string());
    for depth in 1..=200 {
        let (digest, size) =
            put_list(&registry, &format!("deep{depth}"), &[entry(child.0, child.1, &child.2, 1)]);
        child = (digest, size, INDEX.to_owned());
    }
    let from = format!("docker://{}/app:deep200", registry.address());
    manifest(&workspace, &format!("create top --from {from}")).ok();
    for words in [
        format!("create app --all {from}"),
        format!("check {from}"),
        format!("diff {from} docker://{}/app:deep199", registry.address()),
        format!("push top docker://{}/other:1", FakeRegistry::start().address()),
        "check top".to_owned(),
        "export top --oci-dir out".to_owned(),
    ] {
        registry.clear_requests();
        let ran = quickly(&workspace, &format!("{words} --retry 0"));
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(registry.requests().len() <= 40, "{words}: {}", registry.requests().len());
    }
}
