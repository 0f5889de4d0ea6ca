//! `manifest verify`: whether a list and everything in it is signed by whom it must be.
//!
//! Signatures are made here by `openssl`, and laid out as the specifications have it, by nothing of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use manifest_core::Digest;
use manifest_testkit::{Attachment, FakeRegistry, Image, Index, Method, Ran, program};
use serde_json::{Value, json};

use crate::in_process::Cli;

pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry with the list `app:1`, and keys.
pub struct Scene {
    pub cli: Cli,
    pub registry: FakeRegistry,
    pub list: Digest,
    pub children: [Digest; 2],
}

impl Scene {
    pub fn new() -> Self {
        let (cli, registry) = (Cli::new(), FakeRegistry::start());
        let images = [Image::new("linux/amd64"), Image::new("linux/arm64")];
        let list = Index::of(&[&images[0], &images[1]]).push_to(&registry, "app", "1");
        Self { cli, registry, list, children: images.map(|image| image.digest()) }
    }

    pub fn host(&self) -> String {
        self.registry.address()
    }

    /// The reference of the list.
    pub fn app(&self) -> String {
        format!("docker://{}/app:1", self.host())
    }

    /// The file of a private key, made when it is used first; its public half is `NAME.pub`.
    pub fn key(&self, name: &str) -> PathBuf {
        let (private, public) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.pub")));
        if !private.exists() {
            let curve = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"];
            openssl(curve.map(str::to_owned).into_iter().chain([text(&private)]));
            openssl(["pkey", "-pubout", "-in", &text(&private), "-out", &text(&public)]);
        }
        private
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.cli.workspace.path().join(name)
    }

    /// What a key makes of these bytes, in base64.
    pub fn signature(&self, key: &str, bytes: &[u8]) -> String {
        let (private, message) = (self.key(key), self.cli.workspace.write("message", bytes));
        let signature = self.file("signature");
        openssl(["dgst", "-sha256", "-sign", &text(&private), "-out", &text(&signature), &text(&message)]);
        let encoded = Command::new(program("openssl")).args(["base64", "-A", "-in"]).arg(signature).output();
        String::from_utf8(encoded.unwrap().stdout).unwrap()
    }

    /// Attaches signatures of these keys, which say that `digest` is `identity`.
    pub fn attach(&self, digest: &Digest, identity: &str, keys: &[&str]) {
        let payload = payload(identity, digest, "null");
        let signed: Vec<_> =
            keys.iter().map(|key| (payload.clone(), self.signature(key, payload.as_bytes()))).collect();
        self.attach_these(digest, &signed);
    }

    /// Attaches payloads with signatures.
    pub fn attach_these(&self, digest: &Digest, signatures: &[(String, String)]) {
        let signatures: Vec<(&str, &str)> =
            signatures.iter().map(|(one, other)| (&**one, &**other)).collect();
        let tag = format!("sha256-{}.sig", digest.hex());
        Attachment::signatures(&signatures).push_to(&self.registry, "app", Some(&tag));
    }

    /// Signs the list and its images as cosign does, with the repository for a name.
    pub fn sign_all(&self, key: &str) {
        for digest in self.children.iter().chain([&self.list]) {
            self.attach(digest, &format!("{}/app", self.host()), &[key]);
        }
    }

    /// Lets a bundle refer to `digest` that is about `about`.
    pub fn bundle(&self, key: &str, digest: &Digest, about: &Digest, predicate: &str) -> Digest {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": about.hex()}}],
            "predicateType": predicate,
            "predicate": {},
        })
        .to_string();
        let kind = "application/vnd.in-toto+json";
        let message = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
        let envelope = json!({
            "payload": self.base64(statement.as_bytes()),
            "payloadType": kind,
            "signatures": [{"sig": self.signature(key, message.as_bytes())}],
        });
        let bundle = json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {}, "tlogEntries": []},
            "dsseEnvelope": envelope,
        })
        .to_string();
        self.refer(digest, &bundle)
    }

    /// Lets a manifest with a bundle refer to `digest`.
    pub fn refer(&self, digest: &Digest, bundle: &str) -> Digest {
        let (config, layer) = (self.registry.put_blob("app", "{}"), bundle.to_owned());
        let layer_digest = self.registry.put_blob("app", layer);
        let (subject_type, subject) = self.registry.manifest("app", &digest.to_string()).unwrap();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": BUNDLE,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": BUNDLE, "digest": layer_digest, "size": bundle.len()}],
            "subject": {"mediaType": subject_type, "digest": digest, "size": subject.len()},
        });
        let manifest = manifest.to_string();
        let reference = Digest::sha256(manifest.as_bytes()).to_string();
        self.registry.put_manifest("app", &reference, OCI_MANIFEST, manifest)
    }

    pub fn base64(&self, bytes: &[u8]) -> String {
        let file = self.cli.workspace.write("plain", bytes);
        let encoded = Command::new(program("openssl")).args(["base64", "-A", "-in"]).arg(file).output();
        String::from_utf8(encoded.unwrap().stdout).unwrap()
    }

    /// Lets this key be the one that the command is given.
    pub fn by(&self, key: &str) -> String {
        self.key(key);
        format!("--key {}", self.file(&format!("{key}.pub")).display())
    }

    /// The answers of a verification that must succeed.
    #[track_caller]
    pub fn good(&self, line: &str) -> Vec<Value> {
        let report = self.cli.json(&format!("verify {line}"));
        assert_eq!(report["ok"], true);
        report["places"][0]["verified"].as_array().unwrap().clone()
    }

    /// A verification that must fail: its kind, what people read of it, and the answers in a word each.
    #[track_caller]
    pub fn refused(&self, line: &str) -> (String, String, Vec<String>) {
        let (people, programs) =
            (self.cli.run(&format!("verify {line}")), self.cli.run(&format!("verify {line} --output json")));
        assert_eq!((people.code, programs.code), (Some(10), Some(10)), "{people:?}");
        let error: Value = serde_json::from_str(programs.stderr.lines().last().unwrap()).unwrap();
        assert_eq!(error["error"]["exit"], 10);
        let report: Value = serde_json::from_str(&programs.stdout).unwrap();
        assert_eq!(report["ok"], false);
        let kind = error["error"]["kind"].as_str().unwrap().to_owned();
        (kind, people.stderr, words(report["places"][0]["verified"].as_array().unwrap()))
    }
}

pub fn words(answers: &[Value]) -> Vec<String> {
    answers.iter().map(|answer| answer["answer"].as_str().unwrap().to_owned()).collect()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn openssl(arguments: impl IntoIterator<Item = impl Into<String>>) {
    let arguments: Vec<String> = arguments.into_iter().map(Into::into).collect();
    Ran::of(Command::new(program("openssl")).args(arguments)).ok();
}

pub fn payload(identity: &str, digest: &Digest, optional: &str) -> String {
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"{identity}"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":{optional}}}"#
    )
}

const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

#[test]
fn a_list_with_everything_in_it_is_verified_and_said_by_whom() {
    let scene = Scene::new();
    scene.sign_all("ours");
    let line = format!("{} {}", scene.app(), scene.by("ours"));
    let answers = scene.good(&line);
    assert_eq!(words(&answers), ["verified"; 3]);
    let roles: Vec<_> = answers.iter().map(|answer| answer["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["list", "child", "child"]);
    assert_eq!(answers[0]["digest"], scene.list.to_string());
    assert_eq!(answers[1]["platform"], "linux/amd64");
    let by = &answers[2]["by"][0];
    assert_eq!((&by["form"], &by["identity"]), (&json!("cosign"), &json!(format!("{}/app", scene.host()))));
    assert_eq!(by["key"].as_str().unwrap().len(), 64);
    let text = scene.cli.ok(&format!("verify {line}"));
    assert!(text.contains("list         sha256:") && text.contains("linux/arm64  sha256:"), "{text}");
    assert_eq!(text.matches("verified").count(), 3, "{text}");
}

#[test]
fn what_is_not_signed_as_it_must_be_is_no_success() {
    let scene = Scene::new();
    let (app, ours) = (scene.app(), scene.by("ours"));
    let (kind, text, answers) = scene.refused(&format!("{app} {ours}"));
    assert_eq!((kind.as_str(), &answers[..]), ("unsigned", &["unsigned"; 3].map(str::to_owned)[..]));
    assert!(text.contains("it is not signed; and 2 more of 3"), "{text}");
    assert!(text.contains(&format!("manifest signatures {app}")), "{text}");

    scene.sign_all("ours");
    scene.attach(&scene.children[1], &format!("{}/app", scene.host()), &["other"]);
    let (kind, text, answers) = scene.refused(&format!("{app} {ours}"));
    assert_eq!((kind.as_str(), &*answers[2]), ("bad_signature", "bad"));
    assert_eq!(&answers[..2], ["verified"; 2]);
    assert!(text.contains("linux/arm64"), "{text}");
    // What is not asked for does not matter.
    scene.good(&format!("{app} {ours} --platform linux/amd64"));
    scene.good(&format!("{app} {ours} --require-signed list"));
    scene.refused(&format!("{app} {ours} --require-signed children"));
    scene.cli.run(&format!("verify {app} {ours} --platform linux/s390x")).fails(3);
}

#[test]
fn each_way_to_be_wrong_has_its_answer() {
    let scene = Scene::new();
    let (image, repository) = (scene.children[0], format!("{}/app", scene.host()));
    let good = payload(&repository, &image, "null");
    let signed = |text: &str| (text.to_owned(), scene.signature("ours", text.as_bytes()));
    let other = payload(&repository, &scene.children[1], "null");
    let line = format!("docker://{repository}@{image} {}", scene.by("ours"));
    for (name, attached, expected) in [
        ("of another image", signed(&other), "bad_signature"),
        ("of the list", signed(&payload(&repository, &scene.list, "null")), "bad_signature"),
        ("of another repository", signed(&payload("r.io/app", &image, "null")), "bad_signature"),
        (
            "other bytes",
            (good.replace("null", "{}"), scene.signature("ours", good.as_bytes())),
            "bad_signature",
        ),
        ("no base64", (good.clone(), "%%%".to_owned()), "unreadable"),
        ("without a key", (good.clone(), String::new()), "unreadable"),
        (
            "one member more",
            signed(&good.replacen("\"critical\":{", "\"critical\":{\"x\":1,", 1)),
            "unreadable",
        ),
        (
            "the other family",
            signed(&good.replace("cosign container image", "atomic container")),
            "unreadable",
        ),
        // SEC-73.
        ("no JSON", signed("signed all the same"), "unreadable"),
    ] {
        scene.attach_these(&image, &[attached]);
        let (kind, text, _) = scene.refused(&line);
        assert_eq!(kind, expected, "{name}: {text}");
    }
    // A wrong layer, a list in its place, and one that is larger than any that is read.
    let tag = format!("sha256-{}.sig", image.hex());
    let (_, list) = scene.registry.manifest("app", "1").unwrap();
    scene.registry.put_manifest("app", &tag, "application/vnd.oci.image.index.v1+json", list);
    assert_eq!(scene.refused(&line).0, "unreadable");
    Image::new("linux/amd64").layer("x").push_to(&scene.registry, "app", &tag);
    assert_eq!(scene.refused(&line).0, "unreadable");
}

#[test]
fn garbage_first_and_a_good_signature_second_is_good_with_a_warning() {
    let scene = Scene::new();
    scene.sign_all("ours");
    let good = payload(&format!("{}/app", scene.host()), &scene.list, "null");
    let signature = scene.signature("ours", good.as_bytes());
    scene.attach_these(&scene.list, &[("garbage".to_owned(), "AAAA".to_owned()), (good, signature)]);
    let ran = scene.cli.run(&format!("verify {} {}", scene.app(), scene.by("ours")));
    ran.ok();
    assert!(ran.stderr.contains("a cosign signature does not count"), "{ran:?}");
}

#[test]
fn the_name_in_a_signature_is_compared_as_the_rule_says() {
    let scene = Scene::new();
    let (host, ours) = (scene.host(), scene.by("ours"));
    let (by_tag, by_digest) = (scene.app(), format!("docker://{host}/app@{}", scene.list));
    for (identity, default, digest, exact, repository) in [
        ("app:1", true, true, true, true),
        ("app", true, true, false, true),
        ("app:2", false, true, false, true),
        ("other:1", false, false, false, false),
    ] {
        scene.attach(&scene.list, &format!("{host}/{identity}"), &["ours"]);
        for (line, expected) in [
            (format!("{by_tag} {ours}"), default),
            (format!("{by_digest} {ours}"), digest),
            (format!("{by_tag} {ours} --identity exact"), exact),
            (format!("{by_tag} {ours} --identity repository"), repository),
            (format!("{by_tag} {ours} --identity any"), true),
            (format!("{by_tag} {ours} --identity {host}/{identity}"), true),
            (format!("{by_tag} {ours} --identity r.io/app"), false),
        ] {
            let code = scene.cli.run(&format!("verify {line} --require-signed list")).code;
            assert_eq!(code, Some(if expected { 0 } else { 10 }), "{identity}: {line}");
        }
    }
}

#[test]
fn several_keys_are_different_keys() {
    let scene = Scene::new();
    let repository = format!("{}/app", scene.host());
    let line = format!("{} --require-signed list {} {}", scene.app(), scene.by("one"), scene.by("two"));
    // SEC-75: the same key twice.
    scene.attach(&scene.list, &repository, &["one", "one"]);
    scene.good(&line);
    let (kind, text, _) = scene.refused(&format!("{line} --min-keys 2"));
    assert!(
        kind == "unsigned" && text.contains("2 different keys must have signed it, and 1 have"),
        "{text}"
    );
    scene.attach(&scene.list, &repository, &["one", "two"]);
    let answers = scene.good(&format!("{line} --min-keys 2"));
    assert_eq!(answers[0]["by"].as_array().unwrap().len(), 2);
    // The same file twice is no second key.
    let twice = format!("{} --require-signed list {} {}", scene.app(), scene.by("one"), scene.by("one"));
    scene.refused(&format!("{twice} --min-keys 2"));
}

/// SEC-77.
#[test]
fn an_old_signature_or_one_without_a_time_is_refused_when_asked() {
    let scene = Scene::new();
    let line = format!("{} --require-signed list {}", scene.app(), scene.by("ours"));
    let attach = |optional: &str| {
        let payload = payload(&format!("{}/app:1", scene.host()), &scene.list, optional);
        let signature = scene.signature("ours", payload.as_bytes());
        scene.attach_these(&scene.list, &[(payload, signature)]);
    };
    attach(r#"{"timestamp":1700000000}"#);
    assert_eq!(scene.good(&line)[0]["by"][0]["signed"], "2023-11-14T22:13:20Z");
    scene.good(&format!("{line} --signed-after 2023-11-14"));
    for after in ["2023-11-15", "2023-11-14T22:13:21Z", "30d"] {
        let (kind, text, _) = scene.refused(&format!("{line} --signed-after {after}"));
        assert!(kind == "expired" && text.contains("it was made at 2023-11-14T22:13:20Z"), "{text}");
    }
    attach("null");
    scene.good(&line);
    let (kind, text, _) = scene.refused(&format!("{line} --signed-after 2023-11-14"));
    assert!(kind == "expired" && text.contains("it does not say when it was made"), "{text}");
}

#[test]
fn bundles_count_for_keys_with_the_api_and_without_it() {
    for api in [true, false] {
        let scene = Scene::new();
        if api {
            scene.registry.serve_referrers();
        }
        let line = format!("{} --require-signed list {}", scene.app(), scene.by("ours"));
        let referrer = scene.bundle("ours", &scene.list, &scene.list, SIGNED);
        if !api {
            note_referrer(&scene, &referrer);
        }
        assert_eq!(scene.good(&line)[0]["by"][0]["form"], "bundle");
        // It states no name, and no time.
        assert_eq!(scene.refused(&format!("{line} --identity exact")).0, "bad_signature");
        assert_eq!(scene.refused(&format!("{line} --signed-after 1d")).0, "expired");
    }
}

/// Writes the index that stands in for the referrers API.
fn note_referrer(scene: &Scene, referrer: &Digest) {
    let (kind, list) = ("application/vnd.oci.image.index.v1+json", scene.list.hex());
    let size = scene.registry.manifest("app", &referrer.to_string()).unwrap().1.len();
    let entry = json!({"mediaType": OCI_MANIFEST, "digest": referrer, "size": size, "artifactType": BUNDLE});
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]});
    scene.registry.put_manifest("app", &format!("sha256-{list}"), kind, index.to_string());
}

/// SEC-70, SEC-71.
#[test]
fn a_bundle_about_something_else_does_not_count() {
    let scene = Scene::new();
    scene.registry.serve_referrers();
    let line = format!("{} --require-signed list {}", scene.app(), scene.by("ours"));
    scene.bundle("ours", &scene.list, &scene.children[0], SIGNED);
    assert_eq!(scene.refused(&line).0, "bad_signature");
    let scene = Scene::new();
    scene.registry.serve_referrers();
    let line = format!("{} --require-signed list {}", scene.app(), scene.by("ours"));
    scene.bundle("ours", &scene.list, &scene.list, "https://slsa.dev/provenance/v1");
    assert_eq!(scene.refused(&line).0, "bad_signature");
    scene.refer(&scene.list, "{}");
    scene.bundle("ours", &scene.list, &scene.list, SIGNED);
    scene.good(&line);
}

#[test]
fn a_child_that_is_missing_or_not_what_the_list_says_is_an_error() {
    let scene = Scene::new();
    scene.sign_all("ours");
    let line = format!("verify {} {}", scene.app(), scene.by("ours"));
    let child = format!("/v2/app/manifests/{}", scene.children[1]);
    scene.registry.on(Method::Get, &child).reply(404).always();
    scene.cli.fails(3, &line).says("image_not_found", &[&scene.children[1].to_string()]);
    scene.registry.clear_rules();
    scene.cli.ok(&line);
    // Another manifest under its digest.
    let other = scene.registry.manifest("app", &scene.children[0].to_string()).unwrap().1;
    scene.registry.on(Method::Get, &child).substitute(other).always();
    scene.cli.fails(7, &line).says("bad_content", &[]);
}

#[test]
fn a_registry_that_fails_is_an_error_and_no_answer() {
    let scene = Scene::new();
    scene.sign_all("ours");
    let line = format!("verify {} {} --retry 0", scene.app(), scene.by("ours"));
    let tag = format!("/v2/app/manifests/sha256-{}.sig", scene.list.hex());
    for (pattern, status) in [(tag.as_str(), 500), (tag.as_str(), 403), ("/v2/app/blobs/*", 500)] {
        scene.registry.on(Method::Get, pattern).reply(status).always();
        let ran = scene.cli.run(&line);
        assert!(matches!(ran.code, Some(5 | 6)) && ran.stdout.is_empty(), "{ran:?}");
        scene.registry.clear_rules();
    }
}

#[test]
fn lists_in_the_list_are_looked_into_when_asked() {
    let scene = Scene::new();
    let (list_type, inner) = scene.registry.manifest("app", "1").unwrap();
    let outer = json!({
        "schemaVersion": 2, "mediaType": list_type,
        "manifests": [{"mediaType": list_type, "digest": scene.list, "size": inner.len()}],
    });
    let outer = scene.registry.put_manifest("app", "outer", &list_type, outer.to_string());
    let repository = format!("{}/app", scene.host());
    for digest in [&outer, &scene.list] {
        scene.attach(digest, &repository, &["ours"]);
    }
    let line = format!("docker://{repository}:outer {}", scene.by("ours"));
    assert_eq!(scene.good(&line).len(), 2);
    let (_, _, answers) = scene.refused(&format!("{line} --recursive"));
    assert_eq!(answers, ["verified", "verified", "unsigned", "unsigned"]);
    scene.sign_all("ours");
    assert_eq!(scene.good(&format!("{line} --recursive")).len(), 4);
    let one = scene.good(&format!("{line} --recursive --platform linux/arm64"));
    assert_eq!(one.len(), 3);
    scene.cli.run(&format!("verify {line} --platform linux/arm64")).fails(3);
}

#[test]
fn an_empty_list_has_nothing_in_it_that_is_signed() {
    let scene = Scene::new();
    let empty = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [],
    });
    let kind = "application/vnd.oci.image.index.v1+json";
    let digest = scene.registry.put_manifest("app", "empty", kind, empty.to_string());
    let repository = format!("{}/app", scene.host());
    scene.attach(&digest, &repository, &["ours"]);
    let line = format!("docker://{repository}:empty {}", scene.by("ours"));
    scene.good(&line);
    scene
        .cli
        .fails(10, &format!("verify {line} --require-signed children"))
        .says("unsigned", &["no entries"]);
}

#[test]
fn only_what_can_count_is_asked_for_and_each_thing_once() {
    let scene = Scene::new();
    scene.registry.serve_referrers();
    scene.sign_all("ours");
    scene.good(&format!("{} {}", scene.app(), scene.by("ours")));
    let asked: Vec<String> = scene.registry.requests().iter().map(|request| request.target.clone()).collect();
    let count = |part: &str| asked.iter().filter(|target| target.contains(part)).count();
    assert_eq!(count("/signatures/"), 0, "keys of sigstore make no simple signatures: {asked:?}");
    for digest in scene.children.iter().chain([&scene.list]) {
        assert_eq!(count(&format!("sha256-{}.sig", digest.hex())), 1);
        assert_eq!(count(&format!("/referrers/{digest}")), 1);
    }
    for child in &scene.children {
        assert_eq!(count(&format!("/manifests/{child}")), 1);
    }
    assert_eq!(count("/manifests/1"), 1);
    assert_eq!(count("/blobs/"), 3);
}

#[test]
fn a_list_of_the_store_is_verified_where_it_was_pushed_last() {
    let scene = Scene::new();
    let ours = scene.by("ours");
    scene.cli.ok(&format!("create app --all {}", scene.app()));
    scene.cli.fails(3, &format!("verify app {ours}")).says("not_pushed", &["app"]);
    scene.cli.ok(&format!("push app docker://{}/app:2", scene.host()));
    scene.refused(&format!("app {ours}"));
    scene.sign_all("ours");
    let answers = scene.good(&format!("app {ours}"));
    assert_eq!(answers.len(), 3);
    // It is what was pushed, whatever the tag means now.
    Image::new("linux/riscv64").push_to(&scene.registry, "app", "2");
    assert_eq!(scene.good(&format!("app {ours}"))[0]["digest"], answers[0]["digest"]);
}

#[test]
fn what_lies_in_files_needs_to_be_told_what_it_was_signed_as() {
    let scene = Scene::new();
    let layout = scene.file("layout");
    let image = Image::new("linux/amd64");
    let digest = image.write_layout(&layout, "it");
    let payload = payload("r.io/app:1", &digest, "null");
    let signature = scene.signature("ours", payload.as_bytes());
    let tag = format!("sha256-{}.sig", digest.hex());
    Attachment::signatures(&[(&payload, &signature)]).write_layout(&layout, &tag);
    let line = format!("oci:{}:it {}", layout.display(), scene.by("ours"));
    scene.cli.fails(2, &format!("verify {line}")).says("misuse", &["--identity"]);
    scene.good(&format!("{line} --identity any"));
    scene.good(&format!("{line} --identity r.io/app"));
    assert_eq!(scene.refused(&format!("{line} --identity r.io/app:2")).0, "bad_signature");
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let scene = Scene::new();
    let (app, ours) = (scene.app(), scene.by("ours"));
    scene.cli.fails(2, &format!("verify {app}")).says("misuse", &["--key"]);
    scene.cli.fails(2, &format!("verify {app} {ours} --policy default")).says("misuse", &["--policy"]);
    scene.cli.fails(2, &format!("verify {app} {ours} --min-keys 0")).says("misuse", &["1 to 1000"]);
    scene.cli.fails(2, &format!("verify {app} {ours} --signed-after soon")).says("misuse", &["2026-01-31"]);
    scene.cli.fails(3, &format!("verify {app} --key nowhere.pub")).says("file_not_found", &["nowhere.pub"]);
    let private = scene.key("ours");
    scene.cli.fails(7, &format!("verify {app} --key {}", private.display())).says("bad_key", &["private"]);
    let garbage = scene.cli.workspace.write("garbage", b"\x99garbage");
    scene.cli.fails(7, &format!("verify {app} --key {}", garbage.display())).says("bad_key", &["garbage"]);
}

fn policy(scene: &Scene, requirement: &Value) -> String {
    let policy = json!({
        "default": [{"type": "reject"}],
        "transports": {"docker": {scene.host(): [requirement]}},
    });
    format!("--policy {}", scene.cli.workspace.write("policy.json", policy.to_string()).display())
}

fn signed(scene: &Scene, identity: &str) -> Value {
    scene.key("ours");
    json!({
        "type": "sigstoreSigned", "keyPath": scene.file("ours.pub"), "signedIdentity": {"type": identity},
    })
}

#[test]
fn a_policy_decides_as_that_of_containers_tools() {
    let scene = Scene::new();
    let app = scene.app();
    let loose = policy(&scene, &signed(&scene, "matchRepository"));
    assert_eq!(scene.refused(&format!("{app} {loose}")).0, "unsigned");
    scene.sign_all("ours");
    scene.good(&format!("{app} {loose}"));
    // By default a name without a tag is not enough, and children are judged by the name of the list.
    let strict = policy(&scene, &signed(&scene, "matchRepoDigestOrExact"));
    let (kind, text, _) = scene.refused(&format!("{app} {strict}"));
    assert!(kind == "bad_signature" && text.contains("matchRepoDigestOrExact"), "{text}");
    for digest in scene.children.iter().chain([&scene.list]) {
        scene.attach(digest, &format!("{}/app:1", scene.host()), &["ours"]);
    }
    scene.good(&format!("{app} {strict}"));
    assert_eq!(scene.refused(&format!("{app} {strict} --min-keys 2")).0, "unsigned");
    let (kind, ..) = scene.refused(&format!("{app} {strict} --signed-after 1d"));
    assert_eq!(kind, "expired");
    let reject = policy(&scene, &json!({"type": "reject"}));
    assert_eq!(scene.refused(&format!("{app} {reject}")).0, "rejected");
    // Who verifies wants a signature, even where anything is let in.
    let anything = policy(&scene, &json!({"type": "insecureAcceptAnything"}));
    let (kind, text, _) = scene.refused(&format!("{app} {anything}"));
    assert!(kind == "unsigned" && text.contains("demands no signature"), "{text}");
    scene
        .cli
        .fails(2, &format!("verify {app} --policy {}", scene.cli.workspace.write("bad.json", "{}").display()))
        .says("configuration", &["bad.json"]);
}

#[test]
fn the_policy_of_the_user_is_found() {
    let scene = Scene::new();
    scene.sign_all("ours");
    let policy = json!({"default": [signed(&scene, "matchRepository")]});
    scene.cli.workspace.write("home/.config/containers/policy.json", policy.to_string());
    scene.good(&format!("{} --policy default", scene.app()));
}

#[test]
fn a_bundle_does_not_count_for_a_policy() {
    let scene = Scene::new();
    scene.registry.serve_referrers();
    scene.bundle("ours", &scene.list, &scene.list, SIGNED);
    let loose = policy(&scene, &signed(&scene, "matchRepository"));
    assert_eq!(scene.refused(&format!("{} --require-signed list {loose}", scene.app())).0, "unsigned");
}

#[test]
fn images_are_added_as_far_as_a_policy_lets_them_in() {
    let scene = Scene::new();
    let (app, repository) = (scene.app(), format!("{}/app", scene.host()));
    let loose = policy(&scene, &signed(&scene, "matchRepository"));
    scene.cli.ok("create app");
    scene.attach(&scene.children[0], &repository, &["ours"]);
    let refused = scene.cli.fails(10, &format!("add app --all {app} {loose}"));
    refused.says("unsigned", &["policy", "nothing was added"]);
    // The child that is taken counts, and neither its list nor its siblings.
    scene.cli.ok(&format!("add app --platform linux/amd64 {app} {loose}"));
    scene.cli.fails(10, &format!("add app --platform linux/arm64 {app} {loose}"));
    assert_eq!(scene.cli.platforms("app"), ["linux/amd64"]);
    for line in [format!("create new --all {app} {loose}"), format!("create new --from {app} {loose}")] {
        scene.cli.fails(10, &line).says("unsigned", &[]);
        scene.cli.run("exists new").fails(1);
    }
    scene.sign_all("ours");
    scene.cli.ok(&format!("create new --from {app} {loose}"));
    // What lies in the store has no signatures, so that the rule for everything else holds.
    scene.cli.fails(10, &format!("create third --all store:new {loose}")).says("rejected", &["store:new"]);
    let anything = policy(&scene, &json!({"type": "insecureAcceptAnything"}));
    scene.cli.ok(&format!("create any --all {app} {anything}"));
}

#[test]
fn the_configuration_names_a_policy_for_all_that_is_added() {
    let scene = Scene::new();
    policy(&scene, &signed(&scene, "matchRepository"));
    let file = format!("policy = \"{}\"\n", scene.file("policy.json").display());
    scene.cli.workspace.write("home/.config/manifest/config.toml", file);
    scene.cli.fails(10, &format!("create app --all {}", scene.app())).says("unsigned", &["policy"]);
    scene.cli.ok(&format!("create app --all {} --policy none", scene.app()));
}
