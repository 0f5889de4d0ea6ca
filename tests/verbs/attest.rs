//! `manifest attest`: statements attached to the level that they describe.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use manifest_core::{Digest, Tag};
use manifest_testkit::{DockerRegistry, FakeRegistry, Http, Image, Index, Method, program};
use serde_json::{Value, json};

use crate::in_process::Cli;

pub const SPDX: &str = "https://spdx.dev/Document";

pub fn one() -> Image {
    Image::new("linux/amd64")
}

pub fn two() -> Image {
    Image::new("linux/arm64")
}

pub fn index() -> Index {
    Index::of(&[&one(), &two()])
}

/// A predicate as a file.
pub fn predicate(cli: &Cli, text: &str) -> String {
    cli.workspace.write("predicate.json", text).display().to_string()
}

/// A key without a passphrase; its secret and its public half.
pub fn key(cli: &Cli, name: &str) -> (PathBuf, PathBuf) {
    let prefix = cli.workspace.path().join(name);
    cli.ok(&format!("key generate --no-passphrase --output-prefix {}", prefix.display()));
    (prefix.with_extension("key"), prefix.with_extension("pub"))
}

fn document(registry: &FakeRegistry, reference: &str) -> Value {
    let (_, bytes) = registry.manifest("app", reference).unwrap_or_else(|| panic!("no {reference}"));
    serde_json::from_slice(&bytes).unwrap()
}

fn blob(registry: &FakeRegistry, digest: &Value) -> Vec<u8> {
    registry.blob("app", &digest.as_str().unwrap().parse().unwrap()).unwrap().to_vec()
}

fn writes(registry: &FakeRegistry) -> usize {
    registry.requests().iter().filter(|request| !request.method.reads()).count()
}

#[test]
fn a_statement_without_a_key_refers_to_what_it_describes() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    registry.serve_referrers();
    let list = index().push_to(&registry, "app", "1");
    let file = predicate(&cli, " {\"name\": \"b\u{fc}ch\", \"size\": 1.50}\n");
    let line = format!("attest --predicate {file} --type spdx docker://{}/app:1", registry.address());
    let report = cli.json(&line);
    assert_eq!(report["predicateType"], SPDX);
    assert!(report.get("key").is_none());
    let attached = &report["targets"][0]["attached"][0];
    assert_eq!((&attached["outcome"], &attached["subject"]), (&json!("written"), &json!(list)));
    assert!(attached.get("tag").is_none(), "the registry keeps track of it");
    let manifest = document(&registry, attached["manifest"].as_str().unwrap());
    let media_type = "application/vnd.in-toto+json";
    assert_eq!(manifest["artifactType"], media_type);
    assert_eq!(manifest["subject"]["digest"], json!(list));
    assert_eq!(manifest["subject"]["size"], index().manifest().len());
    assert_eq!(manifest["annotations"]["in-toto.io/predicate-type"], SPDX);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(blob(&registry, &manifest["config"]["digest"]), b"{}");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], media_type);
    let statement = String::from_utf8(blob(&registry, &manifest["layers"][0]["digest"])).unwrap();
    let expected = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"{}/app","digest":{{"sha256":"{}"}}}}],"predicateType":"{SPDX}","predicate":{{"name": "büch", "size": 1.50}}}}"#,
        registry.address(),
        list.hex()
    );
    assert_eq!(statement, expected, "the predicate is as it was written");
    // Again: it is there.
    registry.clear_requests();
    let again = cli.json(&line);
    assert_eq!(again["targets"][0]["attached"][0]["outcome"], "present");
    assert_eq!(again["targets"][0]["attached"][0]["manifest"], attached["manifest"]);
    assert_eq!(writes(&registry), 0);
    // Something else is said beside it.
    let more = predicate(&cli, "{}");
    for (more, kind) in [(&more, "spdx"), (&file, "urn:other")] {
        let line = format!("attest --predicate {more} --type {kind} docker://{}/app:1", registry.address());
        assert_eq!(cli.json(&line)["targets"][0]["attached"][0]["outcome"], "written");
    }
}

/// What a reader knows who has read nothing but the specification: the payload, what was signed, and the signature.
fn opened(bundle: &[u8]) -> (Value, Vec<u8>, Vec<u8>) {
    let bundle: Value = serde_json::from_slice(bundle).unwrap();
    let envelope = &bundle["dsseEnvelope"];
    let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let (kind, payload) = (envelope["payloadType"].as_str().unwrap(), bytes(&envelope["payload"]));
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend(&payload);
    assert_eq!(envelope["signatures"].as_array().unwrap().len(), 1);
    (serde_json::from_slice(&payload).unwrap(), message, bytes(&envelope["signatures"][0]["sig"]))
}

#[test]
fn openssl_verifies_a_statement_with_a_key_and_nothing_is_signed_twice() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    index().push_to(&registry, "app", "1");
    let ((secret, public), (other, _)) = (key(&cli, "ours"), key(&cli, "other"));
    let file = predicate(&cli, r#"{"builder": {"id": "https://ci.example.com"}}"#);
    let line = |key: &PathBuf| {
        format!(
            "attest --predicate {file} --type slsaprovenance1 --platform linux/arm64 --sign-key {} docker://{}/app:1",
            key.display(),
            registry.address()
        )
    };
    let report = cli.json(&line(&secret));
    let attached = &report["targets"][0]["attached"][0];
    assert_eq!(attached["subject"], json!(two().digest()), "the level that was asked for");
    assert_eq!(attached["platform"], json!({ "os": "linux", "architecture": "arm64" }));
    let tag = Tag::of_referrers(&two().digest()).to_string();
    assert_eq!(attached["tag"], tag, "no API: the tag that stands in for it");
    let entry = &document(&registry, &tag)["manifests"][0];
    assert_eq!(entry["digest"], attached["manifest"]);
    let kind = "https://slsa.dev/provenance/v1";
    assert_eq!(entry["annotations"]["dev.sigstore.bundle.predicateType"], kind);
    assert_eq!(entry["annotations"]["dev.sigstore.bundle.content"], "dsse-envelope");
    let manifest = document(&registry, attached["manifest"].as_str().unwrap());
    assert_eq!(manifest["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    let (statement, message, signature) = opened(&blob(&registry, &manifest["layers"][0]["digest"]));
    assert_eq!(statement["predicateType"], kind);
    assert_eq!(statement["predicate"], json!({ "builder": { "id": "https://ci.example.com" } }));
    assert_eq!(statement["subject"][0]["digest"]["sha256"], two().digest().hex());
    let (message, signature) =
        (cli.workspace.write("message", message), cli.workspace.write("signature", signature));
    let mut openssl = cli.workspace.command(program("openssl"));
    openssl.args(["dgst", "-sha256", "-verify"]).arg(&public).arg("-signature").arg(signature).arg(message);
    assert_eq!(manifest_testkit::Ran::of(&mut openssl).ok(), "Verified OK\n");
    // Again by the same key, and by another one.
    registry.clear_requests();
    assert_eq!(cli.json(&line(&secret))["targets"][0]["attached"][0]["outcome"], "present");
    assert_eq!(writes(&registry), 0);
    assert_eq!(cli.json(&line(&other))["targets"][0]["attached"][0]["outcome"], "written");
    assert_eq!(document(&registry, &tag)["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn each_image_is_described_and_not_the_list() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    registry.serve_referrers();
    index().push_to(&registry, "app", "1");
    let line = format!(
        "attest --predicate {} --type vuln --each docker://{}/app:1",
        predicate(&cli, "{}"),
        registry.address()
    );
    let text = cli.ok(&line);
    for part in ["linux/amd64", "linux/arm64", &one().digest().to_string(), "written"] {
        assert!(text.contains(part), "{text}");
    }
    let subjects: Vec<Value> = cli.json(&line)["targets"][0]["attached"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["subject"].clone())
        .collect();
    assert_eq!(subjects, [json!(one().digest()), json!(two().digest())]);
}

#[test]
fn a_list_of_the_store_is_described_where_it_was_pushed_last() {
    let (cli, registry, real) = (Cli::new(), FakeRegistry::start(), DockerRegistry::plain());
    index().push_to(&registry, "src", "1");
    cli.ok(&format!("create app --all {}/src:1", registry.address()));
    let line = format!("attest --predicate {} --type custom app", predicate(&cli, "{}"));
    cli.fails(3, &line).says("not_pushed", &[]);
    let layout = cli.workspace.path().join("out");
    cli.ok(&format!(
        "push app docker://{}/app:1,2 docker://{}/app:1 oci:{}:one",
        registry.address(),
        real.address(),
        layout.display()
    ));
    let report = cli.json(&line);
    let targets = report["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 3);
    let pushed = cli.json("inspect app")["list"]["pushed"]["digest"].clone();
    for target in targets {
        assert_eq!(target["attached"][0]["subject"], pushed);
        assert_eq!(target["attached"][0]["outcome"], "written");
    }
    let of = |target: &Value| target["attached"][0]["manifest"].as_str().unwrap().to_owned();
    let accept = [("accept", "application/vnd.oci.image.manifest.v1+json")];
    let there = Http::to(&real.address()).get(&format!("/v2/app/manifests/{}", of(&targets[1])), &accept);
    assert!(there.text().contains(pushed.as_str().unwrap()), "{there:?}");
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let entry = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["digest"] == of(&targets[2]))
        .unwrap();
    assert_eq!(entry["artifactType"], "application/vnd.in-toto+json");
    for target in cli.json(&line)["targets"].as_array().unwrap() {
        assert_eq!(target["attached"][0]["outcome"], "present", "{target}");
    }
    // An image of it, in the layout by itself.
    let line = format!(
        "attest --predicate {} --type custom --platform linux/arm64 oci:{}:one",
        predicate(&cli, "{}"),
        layout.display()
    );
    assert_eq!(cli.json(&line)["targets"][0]["attached"][0]["subject"], json!(two().digest()));
    // Attestations go along with the list.
    let other = FakeRegistry::start();
    cli.ok(&format!("create copy --from oci:{}:one", layout.display()));
    let pushed = cli.json(&format!("push copy docker://{}/copy:1 --with referrers", other.address()));
    assert_eq!(pushed["targets"][0]["attached"]["referrers"]["written"], 2);
    let shown = cli.json(&format!("inspect --attestations docker://{}/copy:1", other.address()));
    assert_eq!(shown["attestations"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_no_predicate_is_refused_before_anything_is_sent() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    index().push_to(&registry, "app", "1");
    let to = format!("docker://{}/app:1", registry.address());
    let (deep, wide) = ("[".repeat(64) + &"]".repeat(64), format!("\"{}\"", "x".repeat(6_000_000)));
    for (text, says) in [
        ("", "not valid JSON"),
        ("name: app", "not valid JSON"),
        ("{} trailing", "not valid JSON"),
        ("{\"a\": 1, \"a\": 2}", "stands twice"),
        (&deep, "deeper than 64 levels"),
        (&wide, "larger than 6000000 bytes"),
        ("\"\u{1}\"", "not valid JSON"),
    ] {
        let file = predicate(&cli, text);
        cli.fails(2, &format!("attest --predicate {file} --type spdx {to}"))
            .says("misuse", &["predicate", says]);
    }
    let file = predicate(&cli, "{}");
    for (kind, says) in [
        ("sbom", "--help"),
        ("urn:", "no type of predicates"),
        ("https://a/\u{e4}", "no type of predicates"),
        ("https://sigstore.dev/cosign/sign/v1", "is a signature"),
        (&format!("urn:{}", "x".repeat(1100)), "1024 bytes"),
    ] {
        cli.fails(2, &format!("attest --predicate {file} --type {kind} {to}")).says("misuse", &[says]);
    }
    cli.fails(3, &format!("attest --predicate {file}.gone --type spdx {to}")).says("file_not_found", &[]);
    cli.fails(2, &format!("attest --predicate {file} {to}")).says("misuse", &["--type"]);
    cli.fails(2, &format!("attest --predicate {file} --type spdx --sign-passphrase-file secret {to}"))
        .says("misuse", &["no key", "--sign-key"]);
    cli.fails(2, &format!("attest --predicate {file} --type spdx --each --platform linux/amd64 {to}"))
        .says("misuse", &[]);
    assert_eq!(registry.requests().len(), 0, "nothing was asked for");
    cli.fails(3, &format!("attest --predicate {file} --type spdx --platform linux/s390x {to}"))
        .says("no_such_platform", &["linux/arm64"]);
    one().push_to(&registry, "app", "one");
    let alone = format!("docker://{}/app:one", registry.address());
    for which in ["--each", "--platform linux/amd64"] {
        cli.fails(2, &format!("attest --predicate {file} --type spdx {which} {alone}"))
            .says("misuse", &["is an image"]);
    }
    let archive = cli.workspace.write("a.tar", manifest_testkit::docker_archive(&[(&one(), &["a:1"])]));
    cli.fails(2, &format!("attest --predicate {file} --type spdx docker-archive:{}", archive.display()))
        .says("misuse", &["registry or an OCI layout"]);
    assert_eq!(writes(&registry), 0);
}

#[test]
fn keys_that_do_not_fit_are_refused_before_anything_is_sent() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    index().push_to(&registry, "app", "1");
    let (_, public) = key(&cli, "ours");
    let file = predicate(&cli, "{}");
    let line = |key: &str| {
        format!(
            "attest --predicate {file} --type spdx --sign-key {key} docker://{}/app:1",
            registry.address()
        )
    };
    cli.fails(7, &line(&public.display().to_string())).says("bad_key", &[]);
    cli.fails(2, &line("../manifest-sign/tests/fixtures/openpgp/revoked.asc")).says("misuse", &["OpenPGP"]);
    cli.fails(3, &line("/nowhere.key")).says("file_not_found", &[]);
    assert_eq!(registry.requests().len(), 0);
}

#[test]
fn a_registry_that_refuses_leaves_nothing_said() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let list = index().push_to(&registry, "app", "1");
    let line = format!(
        "attest --predicate {} --type spdx docker://{}/app:1",
        predicate(&cli, "{}"),
        registry.address()
    );
    registry.on(Method::Put, "/v2/app/manifests/*").always().reply(403);
    cli.fails(6, &line).says("denied", &[]);
    registry.clear_rules();
    two().push_to(&registry, "app", Tag::of_referrers(&list).as_str());
    cli.fails(7, &line).says("bad_content", &["should be an index of referrers"]);
    let gone = Digest::sha256(b"gone");
    cli.fails(
        3,
        &format!(
            "attest --predicate {} --type spdx docker://{}/app@{gone}",
            predicate(&cli, "{}"),
            registry.address()
        ),
    )
    .says("image_not_found", &[]);
}
