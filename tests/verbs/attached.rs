//! `manifest push --with`: what refers to a list and its images, and their signatures, go along.

use std::path::Path;

use manifest_core::{Descriptor, Digest, MediaType, Tag};
use manifest_testkit::{Attachment, DockerRegistry, FakeRegistry, Http, Image, Index, Method};
use serde_json::{Value, json};

use crate::in_process::Cli;

fn one() -> Image {
    Image::new("linux/amd64")
}

fn two() -> Image {
    Image::new("linux/arm64")
}

fn index() -> Index {
    Index::of(&[&one(), &two()])
}

fn described(media_type: MediaType, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
}

fn list() -> Descriptor {
    described(MediaType::OCI_INDEX, &index().manifest())
}

fn sbom_of(image: &Image) -> Attachment {
    let subject = described(image.media_type(), &image.manifest());
    Attachment::referrer(&subject, "application/spdx+json", "a bill of materials")
}

fn note() -> Attachment {
    Attachment::referrer(&list(), "text/note", "of the list")
}

/// What refers to what refers to the list.
fn signed() -> Attachment {
    Attachment::referrer(&note().descriptor(), "text/signature", "of the note")
}

fn sig(digest: Digest, suffix: &str) -> String {
    format!("sha256-{}.{suffix}", digest.hex())
}

fn fallback(subject: Digest) -> String {
    Tag::of_referrers(&subject).to_string()
}

/// A registry with the API in which a list and all that is attached to it lie as `src:1`.
fn source(cli: &Cli) -> FakeRegistry {
    let registry = FakeRegistry::start();
    registry.serve_referrers();
    index().push_to(&registry, "src", "1");
    for attachment in [note(), signed(), sbom_of(&one())] {
        attachment.push_to(&registry, "src", None);
    }
    let both = [(list().digest, "list"), (two().digest(), "two")];
    for (digest, by) in both {
        Attachment::signatures(&[("payload", by)]).push_to(&registry, "src", Some(&sig(digest, "sig")));
    }
    cli.ok(&format!("create app --from docker://{}/src:1", registry.address()));
    registry
}

/// The digests that a registry has under the tag that stands in for the API.
fn noted(registry: &FakeRegistry, subject: Digest) -> Vec<String> {
    let Some((_, bytes)) = registry.manifest("app", &fallback(subject)) else { return Vec::new() };
    let index: Value = serde_json::from_slice(&bytes).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    entries.map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

fn layers(registry: &FakeRegistry, tag: &str) -> Vec<String> {
    let (_, bytes) = registry.manifest("app", tag).unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    let signature = |layer: &Value| layer["annotations"]["dev.cosignproject.cosign/signature"].clone();
    layers.map(|layer| signature(layer).as_str().unwrap().to_owned()).collect()
}

#[test]
fn everything_attached_goes_along_before_a_tag_moves() {
    let cli = Cli::new();
    let (_source, target) = (source(&cli), FakeRegistry::start());
    target.serve_referrers();
    let push = format!("push app docker://{}/app:1 --with referrers,signatures", target.address());
    let report = cli.json(&push);
    let brought =
        |present: u8, written: u8| json!({ "present": present, "written": written, "merged": 0, "kept": 0 });
    let attached = &report["targets"][0]["attached"];
    assert_eq!(attached, &json!({ "referrers": brought(0, 3), "signatures": brought(0, 2) }));
    for attachment in [note(), signed(), sbom_of(&one())] {
        assert!(target.manifest("app", &attachment.digest().to_string()).is_some());
    }
    assert_eq!(layers(&target, &sig(list().digest, "sig")), ["list"]);
    assert_eq!(layers(&target, &sig(two().digest(), "sig")), ["two"]);
    assert_eq!(target.tags("app").len(), 3, "the API needs no tags");
    let last = target.requests().into_iter().rfind(|request| request.method == Method::Put).unwrap();
    assert_eq!(last.target, "/v2/app/manifests/1");
    // Again: all is there.
    target.clear_requests();
    let again = cli.json(&push);
    let attached = &again["targets"][0]["attached"];
    assert_eq!(attached, &json!({ "referrers": brought(3, 0), "signatures": brought(2, 0) }));
    let written = target.requests().into_iter().filter(|request| !request.method.reads()).count();
    assert_eq!(written, 1, "the list by its digest");
}

#[test]
fn nothing_goes_along_unasked() {
    let cli = Cli::new();
    let (_source, target) = (source(&cli), FakeRegistry::start());
    let report = cli.json(&format!("push app docker://{}/app:1", target.address()));
    assert_eq!(target.tags("app"), ["1"]);
    assert!(report["targets"][0].get("attached").is_none());
    cli.ok(&format!("push app docker://{}/app:2 --with signatures", target.address()));
    assert!(target.manifest("app", &note().digest().to_string()).is_none());
    assert_eq!(target.tags("app").len(), 4);
}

#[test]
fn without_the_api_the_tags_are_kept_at_the_fake_and_at_the_real_registry() {
    let cli = Cli::new();
    let (_source, target, real) = (source(&cli), FakeRegistry::start(), DockerRegistry::plain());
    let ran = cli.run(&format!(
        "push app docker://{}/app:1 docker://{}/app:1 --with referrers,signatures",
        target.address(),
        real.address()
    ));
    ran.ok();
    assert!(ran.stderr.contains("3 referrers written, 2 signature manifests written"), "{ran:?}");
    assert_eq!(noted(&target, list().digest), [note().digest().to_string()]);
    assert_eq!(noted(&target, note().digest()), [signed().digest().to_string()]);
    assert_eq!(noted(&target, one().digest()), [sbom_of(&one()).digest().to_string()]);
    let http = Http::to(&real.address());
    for (subject, referrer) in [(list().digest, note()), (note().digest(), signed())] {
        let accept = [("accept", MediaType::OCI_INDEX.as_str())];
        let index = http.get(&format!("/v2/app/manifests/{}", fallback(subject)), &accept);
        assert!(index.text().contains(&referrer.digest().to_string()), "{index:?}");
        let accept = [("accept", MediaType::OCI_MANIFEST.as_str())];
        assert_eq!(http.get(&format!("/v2/app/manifests/{}", referrer.digest()), &accept).status, 200);
    }
    // And from there, where nothing but tags tells of it.
    cli.ok(&format!("create copy --from docker://{}/app:1", real.address()));
    let other = FakeRegistry::start();
    cli.ok(&format!("push copy docker://{}/app:1 --with referrers,signatures", other.address()));
    assert_eq!(noted(&other, note().digest()), [signed().digest().to_string()]);
    assert_eq!(layers(&other, &sig(list().digest, "sig")), ["list"]);
}

#[test]
fn signatures_of_the_target_stay_beside_those_that_come() {
    let cli = Cli::new();
    let (source, target) = (source(&cli), FakeRegistry::start());
    let tag = sig(list().digest, "sig");
    Attachment::signatures(&[("payload", "theirs"), ("payload", "list")]).push_to(&target, "app", Some(&tag));
    let push = format!("push app docker://{}/app:1 --with signatures --output json", target.address());
    let before = target.tag("app", &tag);
    cli.ok(&push);
    assert_eq!(target.tag("app", &tag), before, "it has them all");
    Attachment::signatures(&[("other", "theirs")]).push_to(&target, "app", Some(&tag));
    let report = cli.json(push.trim_end_matches(" --output json"));
    assert_eq!(report["targets"][0]["attached"]["signatures"]["merged"], 1);
    assert_eq!(layers(&target, &tag), ["theirs", "list"]);
    let (_, bytes) = target.manifest("app", &tag).unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let config =
        target.blob("app", &manifest["config"]["digest"].as_str().unwrap().parse().unwrap()).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], json!([Digest::sha256(b"other"), Digest::sha256(b"payload")]));
    // What is no list of signatures stays as it is, and that is said.
    for suffix in ["sbom", "sig"] {
        let tag = sig(list().digest, suffix);
        note().push_to(&source, "src", Some(&tag));
        let theirs = two().push_to(&target, "app", &tag);
        let ran = cli.run(&format!("push app docker://{}/app:1 --with signatures", target.address()));
        ran.ok();
        assert!(ran.stderr.contains(&format!("app:{tag} is something else already and stays")), "{ran:?}");
        assert_eq!(target.tag("app", &tag), Some(theirs));
    }
}

#[test]
fn a_referrer_that_cannot_be_brought_ends_the_push_before_a_tag_moves() {
    let cli = Cli::new();
    let (source, target) = (source(&cli), FakeRegistry::start());
    let old = one().push_to(&target, "app", "1");
    let push =
        format!("push app docker://{}/app:1 --allow-shrink --with referrers,signatures", target.address());
    let blob = Digest::sha256(b"of the note");
    source.remove_blob("src", &blob);
    cli.fails(3, &push).says("image_not_found", &[&blob.to_string(), "could not be copied from"]);
    assert_eq!(target.tag("app", "1"), Some(old));
    source.put_blob("src", "of the note");
    target.on(Method::Put, &format!("/v2/app/manifests/{}", sig(two().digest(), "sig"))).always().reply(403);
    cli.fails(6, &push).says("denied", &[]);
    assert_eq!(target.tag("app", "1"), Some(old));
    target.clear_rules();
    two().push_to(&target, "app", &fallback(list().digest));
    cli.fails(7, &push).says("bad_content", &["should be an index of referrers"]);
    assert_eq!(target.tag("app", "1"), Some(old));
}

#[test]
fn what_is_listed_and_is_no_referrer_is_left_out_and_told() {
    let cli = Cli::new();
    let (source, target) = (source(&cli), FakeRegistry::start());
    let gone = Digest::sha256(b"gone");
    let entry = |digest: Digest| json!({ "mediaType": MediaType::OCI_MANIFEST, "digest": digest, "size": 2 });
    let entries = [gone, signed().digest()].map(entry);
    let index = json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": entries });
    source.put_manifest("src", &fallback(list().digest), MediaType::OCI_INDEX.as_str(), index.to_string());
    let ran = cli.run(&format!("push app docker://{}/app:1 --with referrers", target.address()));
    ran.ok();
    assert!(ran.stderr.contains(&format!("lists {gone} as a referrer and does not have it")), "{ran:?}");
    assert!(ran.stderr.contains(&format!("lists {} as a referrer of", signed().digest())), "{ran:?}");
    assert_eq!(noted(&target, list().digest), [note().digest().to_string()]);
    assert_eq!(noted(&target, note().digest()), [signed().digest().to_string()]);
}

#[test]
fn a_chain_of_referrers_without_end_is_refused() {
    let cli = Cli::new();
    let (source, target) = (source(&cli), FakeRegistry::start());
    let mut last = signed();
    for n in 0..3 {
        last = Attachment::referrer(&last.descriptor(), "text/note", &n.to_string());
        last.push_to(&source, "src", None);
    }
    let said = ["refers to what refers to the list, more than 4 steps away"];
    cli.fails(7, &format!("push app docker://{}/app:1 --with referrers", target.address()))
        .says("bad_content", &said);
    assert_eq!(target.tags("app"), [""; 0]);
}

#[test]
fn a_dry_run_names_what_would_go_along() {
    let cli = Cli::new();
    let (_source, target) = (source(&cli), FakeRegistry::start());
    let tag = sig(list().digest, "sig");
    Attachment::signatures(&[("other", "theirs")]).push_to(&target, "app", Some(&tag));
    let push = format!("push app docker://{}/app:1 --with referrers,signatures", target.address());
    target.clear_requests();
    let plan = cli.ok(&format!("{push} --dry-run"));
    for line in [
        format!("write     {} referrer of {}, from docker://", note().digest(), list().digest),
        format!("write     {} referrer of {}, from docker://", signed().digest(), note().digest()),
        format!("signature of {}, as {tag}, from docker://", list().digest),
    ] {
        assert!(plan.contains(&line), "{line} is missing in:\n{plan}");
    }
    assert_eq!(plan.lines().filter(|line| line.starts_with("merge ")).count(), 1);
    let steps = cli.json(&format!("{push} --dry-run"))["targets"][0]["attached"]["plan"].clone();
    assert_eq!(steps.as_array().unwrap().len(), 5);
    assert!(target.requests().iter().all(|request| request.method.reads()));
}

fn names(layout: &Path) -> Vec<(String, Option<String>)> {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let entry = |entry: &Value| {
        let name = text(&entry["annotations"]["org.opencontainers.image.ref.name"]);
        (text(&entry["digest"]).unwrap(), name)
    };
    index["manifests"].as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn layouts_keep_it_in_their_index_and_give_it_on() {
    let cli = Cli::new();
    let _source = source(&cli);
    let out = cli.workspace.path().join("out");
    for _ in 0..2 {
        cli.ok(&format!("push app oci:{}:1 --with referrers,signatures", out.display()));
        let mut named = names(&out);
        named.sort();
        let mut expected =
            [note(), signed(), sbom_of(&one())].map(|one| (one.digest().to_string(), None)).to_vec();
        let tags = [(list().digest, "list"), (two().digest(), "two")];
        expected.extend(tags.map(|(of, by)| {
            let digest = Attachment::signatures(&[("payload", by)]).digest();
            (digest.to_string(), Some(sig(of, "sig")))
        }));
        expected.push((list().digest.to_string(), Some("1".to_owned())));
        expected.sort();
        assert_eq!(named, expected);
    }
    let target = FakeRegistry::start();
    cli.ok(&format!("create copy --from oci:{}:1", out.display()));
    cli.ok(&format!("push copy docker://{}/app:1 --with referrers,signatures", target.address()));
    assert_eq!(noted(&target, note().digest()), [signed().digest().to_string()]);
    assert_eq!(layers(&target, &sig(list().digest, "sig")), ["list"]);
    // An archive is read as well.
    let archive = cli.workspace.path().join("out.tar");
    let packed =
        std::process::Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&out).arg(".").status();
    assert!(packed.unwrap().success());
    cli.ok(&format!("create archived --from oci-archive:{}:1", archive.display()));
    let other = FakeRegistry::start();
    cli.ok(&format!("push archived docker://{}/app:1 --with referrers,signatures", other.address()));
    assert_eq!(noted(&other, note().digest()), [signed().digest().to_string()]);
}

#[test]
fn a_list_that_was_signed_where_it_was_pushed_takes_that_on() {
    let cli = Cli::new();
    let (stage, production) = (FakeRegistry::start(), FakeRegistry::start());
    cli.ok(&format!("create app {} {}", cli.image("linux/amd64"), cli.image("linux/arm64")));
    let digest: Digest =
        cli.ok(&format!("push app docker://{}/stage/app:1", stage.address())).trim().parse().unwrap();
    Attachment::signatures(&[("payload", "ci")]).push_to(&stage, "stage/app", Some(&sig(digest, "sig")));
    cli.ok(&format!("push app docker://{}/app:1 --with signatures", production.address()));
    assert_eq!(layers(&production, &sig(digest, "sig")), ["ci"]);
    // Another list was not signed there.
    cli.ok("annotate --index app --annotation a=b");
    let report = cli.json(&format!("push app docker://{}/app:2 --with signatures", production.address()));
    assert_eq!(report["targets"][0]["attached"]["signatures"]["written"], 0);
}

#[test]
fn a_push_that_was_cut_off_takes_the_same_along() {
    let cli = Cli::new();
    let (_source, target) = (source(&cli), FakeRegistry::start());
    let words = format!("push app docker://{}/app:1 --with referrers,signatures", target.address());
    let stuck = format!("/v2/app/manifests/{}", signed().digest());
    let rule = target.on(Method::Put, &stuck).always().stall();
    let mut running = cli.workspace.start(env!("CARGO_BIN_EXE_manifest"), words.split_whitespace());
    while rule.hits() == 0 {
        assert!(!running.has_ended(), "{:?}", running.wait());
        std::thread::yield_now();
    }
    drop(running);
    target.clear_rules();
    assert_eq!(target.tag("app", "1"), None, "no tag moves before all is there");
    let report = cli.json("push --resume app");
    let brought = &report["targets"][0]["attached"]["referrers"];
    assert_eq!(brought["present"].as_u64().unwrap() + brought["written"].as_u64().unwrap(), 3);
    assert_eq!(noted(&target, note().digest()), [signed().digest().to_string()]);
    assert_eq!(layers(&target, &sig(two().digest(), "sig")), ["two"]);
    assert_eq!(target.tag("app", "1"), Some(list().digest));
    cli.fails(2, &format!("{words},everything")).says("misuse", &["everything"]);
}

#[test]
fn a_list_that_is_about_something_is_noted_where_there_is_no_api() {
    let (cli, target) = (Cli::new(), FakeRegistry::start());
    let about = cli.put(&one(), "about");
    cli.ok(&format!("create app --subject {about} {}", cli.image("linux/arm64")));
    for tags in ["1", "1,2"] {
        let digest = cli.ok(&format!("push app docker://{}/app:{tags}", target.address()));
        assert_eq!(noted(&target, one().digest()), [digest.trim().to_owned()]);
    }
    assert_eq!(target.tags("app").len(), 3);
    let out = cli.workspace.path().join("out");
    cli.ok(&format!("push app oci:{}:1", out.display()));
    assert_eq!(names(&out).len(), 1);
}

#[test]
fn signatures_stay_behind_where_they_are_to_be_removed() {
    let cli = Cli::new();
    let (from, to) = (source(&cli), FakeRegistry::start());
    to.serve_referrers();
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    Attachment::referrer(&list(), bundle, "a signature").push_to(&from, "src", None);
    let tag = sig(list().digest, "att");
    Attachment::signatures(&[("payload", "an attestation")]).push_to(&from, "src", Some(&tag));
    let target = format!("docker://{}/app:1", to.address());
    cli.ok(&format!("push --with referrers,signatures --remove-signatures app {target}"));
    assert_eq!(to.tags("app"), ["1", &tag]);
    let is_there = |attachment: &Attachment| to.manifest("app", &attachment.digest().to_string()).is_some();
    assert!(is_there(&note()) && is_there(&sbom_of(&one())));
    assert!(!is_there(&Attachment::referrer(&list(), bundle, "a signature")));
}

/// Puts a list of what is there around lists, as a tag.
fn list_of(registry: &FakeRegistry, repository: &str, tag: &str, entries: &[Descriptor]) -> Descriptor {
    let entry = |entry: &Descriptor| json!({ "mediaType": entry.media_type, "digest": entry.digest, "size": entry.size });
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    let bytes =
        json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": entries }).to_string();
    registry.put_manifest(repository, tag, MediaType::OCI_INDEX.as_str(), bytes.clone());
    described(MediaType::OCI_INDEX, bytes.as_bytes())
}

#[test]
fn what_is_attached_to_anything_in_lists_in_lists_goes_along_and_nothing_is_asked_twice() {
    let (cli, from) = (Cli::new(), FakeRegistry::start());
    from.serve_referrers();
    index().push_to(&from, "src", "index");
    let middle = list_of(&from, "src", "middle", &[list()]);
    // An image that lists at all levels name.
    let image = described(one().media_type(), &one().manifest());
    let outer = list_of(&from, "src", "1", &[middle.clone(), image]);
    let attached = [
        Attachment::referrer(&middle, "text/note", "of the list in the list"),
        note(),
        signed(),
        sbom_of(&two()),
        sbom_of(&one()),
    ];
    for one in &attached {
        one.push_to(&from, "src", None);
    }
    for digest in [middle.digest, list().digest, two().digest()] {
        let by = digest.to_string();
        Attachment::signatures(&[("payload", &by)]).push_to(&from, "src", Some(&sig(digest, "sig")));
    }
    cli.ok(&format!("create app --from docker://{}/src:1", from.address()));
    for with in ["--with referrers,signatures --dry-run", "--with referrers,signatures"] {
        let target = FakeRegistry::start();
        target.serve_referrers();
        from.clear_requests();
        let report = cli.json(&format!("push app docker://{}/app:1 {with}", target.address()));
        let mut asked: Vec<String> = from
            .requests()
            .iter()
            .map(|request| format!("{:?} {}", request.method, request.target))
            .filter(|at| !at.contains("/blobs/"))
            .collect();
        asked.sort();
        let twice: Vec<_> = asked.windows(2).filter(|two| two[0] == two[1]).collect();
        assert_eq!(twice, [&[""; 0]; 0], "asked for twice");
        for digest in [outer.digest, middle.digest, list().digest, one().digest(), two().digest()] {
            let of = |at: &&String| at.contains("/referrers/") && at.contains(&digest.hex());
            assert_eq!(asked.iter().filter(of).count(), 1, "{digest} in {asked:#?}");
        }
        let outcome = &report["targets"][0]["attached"];
        if with.ends_with("--dry-run") {
            assert_eq!(outcome["plan"].as_array().unwrap().len(), 8);
            continue;
        }
        assert_eq!(
            (&outcome["referrers"]["written"], &outcome["signatures"]["written"]),
            (&json!(5), &json!(3))
        );
        for one in &attached {
            assert!(target.manifest("app", &one.digest().to_string()).is_some());
        }
        assert_eq!(layers(&target, &sig(two().digest(), "sig")), [two().digest().to_string()]);
        // The list alone.
        let alone =
            format!("push app docker://{}/app:2 --all=false --with referrers,signatures", target.address());
        let outcome = &cli.json(&alone)["targets"][0]["attached"];
        assert_eq!(outcome["referrers"], json!({ "present": 0, "written": 0, "merged": 0, "kept": 0 }));
    }
}

/// As deep as they may lie, and one level more.
#[test]
fn what_is_attached_is_looked_for_as_deep_as_lists_may_lie() {
    let (cli, from) = (Cli::new(), FakeRegistry::start());
    from.serve_referrers();
    index().push_to(&from, "src", "index");
    sbom_of(&one()).push_to(&from, "src", None);
    let mut list = list();
    for depth in 1..=9 {
        list = list_of(&from, "src", &depth.to_string(), &[list]);
        if depth < 8 {
            continue;
        }
        let target = FakeRegistry::start();
        cli.ok(&format!("create app{depth} --from docker://{}/src:{depth}", from.address()));
        let push = format!("push app{depth} docker://{}/app:1 --with referrers", target.address());
        if depth == 8 {
            assert_eq!(cli.json(&push)["targets"][0]["attached"]["referrers"]["written"], 1);
        } else {
            cli.fails(7, &push).says("bad_content", &["more than 8 levels deep"]);
            assert_eq!(target.requests().iter().filter(|request| !request.method.reads()).count(), 0);
        }
    }
}
