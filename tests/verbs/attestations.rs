//! `manifest inspect --attestations`: what is attached is shown, and not believed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use manifest_core::{Digest, Tag};
use manifest_testkit::FakeRegistry;
use serde_json::{Value, json};

use super::attest::{SPDX, index, key, one, predicate, two};
use crate::in_process::Cli;

const IN_TOTO: &str = "application/vnd.in-toto+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A statement as BuildKit and cosign write it to this day.
fn statement(of: Digest, kind: &str) -> Vec<u8> {
    json!({
        "_type": "https://in-toto.io/Statement/v0.1", "predicateType": kind, "predicate": { "a": 1 },
        "subject": [{ "name": "pkg:docker/app@1", "digest": { "sha256": of.hex() } }],
    })
    .to_string()
    .into_bytes()
}

fn envelope(statement: &[u8], signature: &[u8]) -> Value {
    json!({
        "payloadType": IN_TOTO, "payload": STANDARD.encode(statement),
        "signatures": [{ "keyid": "", "sig": STANDARD.encode(signature) }],
    })
}

/// A manifest with one layer in a registry; its digest.
struct Attached<'a> {
    subject: Option<Digest>,
    artifact_type: &'a str,
    layer_type: &'a str,
    annotations: Value,
    of_layer: Value,
}

impl Attached<'_> {
    fn put(&self, registry: &FakeRegistry, tag: Option<&str>, content: &[u8]) -> Digest {
        let layer = registry.put_blob("app", content.to_vec());
        let empty = registry.put_blob("app", "{}");
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": self.artifact_type,
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2 },
            "layers": [{
                "mediaType": self.layer_type, "digest": layer, "size": content.len(), "annotations": self.of_layer,
            }],
            "annotations": self.annotations,
        });
        if let Some(subject) = self.subject {
            manifest["subject"] = json!({ "mediaType": MANIFEST, "digest": subject, "size": 400 });
        }
        let bytes = manifest.to_string();
        let digest = Digest::sha256(bytes.as_bytes());
        registry.put_manifest("app", tag.unwrap_or(&digest.to_string()), MANIFEST, bytes);
        digest
    }
}

fn bundle(annotated: &str) -> Attached<'_> {
    Attached {
        subject: Some(one().digest()),
        artifact_type: BUNDLE,
        layer_type: BUNDLE,
        annotations: json!({ "dev.sigstore.bundle.predicateType": annotated }),
        of_layer: json!({}),
    }
}

fn plain(annotated: &str) -> Attached<'_> {
    Attached {
        artifact_type: IN_TOTO,
        layer_type: IN_TOTO,
        annotations: json!({ "in-toto.io/predicate-type": annotated }),
        ..bundle("")
    }
}

fn wrapped(material: &Value, statement: &[u8]) -> Vec<u8> {
    let bundle = json!({
        "mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope(statement, b"signature"),
    });
    bundle.to_string().into_bytes()
}

fn shown(cli: &Cli, registry: &FakeRegistry, more: &str) -> Vec<Value> {
    let line = format!("inspect --attestations docker://{}/app:1 {more}", registry.address());
    cli.json(&line)["attestations"].as_array().unwrap().clone()
}

#[test]
fn attestations_of_every_form_are_found_and_each_once() {
    for has_api in [true, false] {
        let (cli, registry) = (Cli::new(), FakeRegistry::start());
        if has_api {
            registry.serve_referrers();
        }
        // BuildKit's stands in the list, and refers to its image as well.
        let mut entry = plain("");
        (entry.artifact_type, entry.annotations) =
            ("application/vnd.docker.attestation.manifest.v1+json", json!({}));
        entry.of_layer = json!({ "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2" });
        let entry =
            entry.put(&registry, None, &statement(one().digest(), "https://slsa.dev/provenance/v0.2"));
        let size = registry.manifest("app", &entry.to_string()).unwrap().1.len();
        let mut list: Value = serde_json::from_slice(&index().manifest()).unwrap();
        list["manifests"].as_array_mut().unwrap().push(json!({
            "mediaType": MANIFEST, "digest": entry, "size": size, "platform": { "os": "unknown", "architecture": "unknown" },
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": one().digest(),
            },
        }));
        index().push_to(&registry, "app", "before");
        registry.put_manifest("app", "1", "application/vnd.oci.image.index.v1+json", list.to_string());
        // cosign's, with a key and with a certificate.
        let tag = format!("sha256-{}.att", two().digest().hex());
        let att = Attached {
            subject: None,
            artifact_type: "",
            layer_type: ENVELOPE,
            annotations: json!({}),
            of_layer: json!({ "dev.cosignproject.cosign/signature": "", "predicateType": SPDX }),
        };
        att.put(
            &registry,
            Some(&tag),
            envelope(&statement(two().digest(), SPDX), b"x").to_string().as_bytes(),
        );
        let (secret, public) = key(&cli, "ours");
        let attest = format!("attest --predicate {}", predicate(&cli, "{}"));
        let to = format!("docker://{}/app:1", registry.address());
        cli.ok(&format!("{attest} --type cyclonedx {to}"));
        cli.ok(&format!("{attest} --type vuln --platform linux/amd64 --sign-key {} {to}", secret.display()));
        // What refers to it and is no attestation is not shown.
        cli.ok(&format!("sign --sign-key {} --signature-format bundle {to}", secret.display()));
        let of = |one: &Value| {
            let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
            (text("form"), text("predicateType").rsplit('/').next().unwrap().to_owned(), text("signedBy"))
        };
        let all = shown(&cli, &registry, "");
        let expected = [
            ("statement", "bom", "nobody"),
            ("bundle", "v1", "key"),
            ("entry", "v0.2", "nobody"),
            ("cosign", "Document", "key"),
        ];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        let mut found: Vec<_> = all.iter().map(of).collect();
        if has_api {
            // It is found by the API first.
            let by_api = |one: &(String, String, String)| (&*one.0, &*one.1) == ("statement", "v0.2");
            let at = found.iter().position(by_api).unwrap();
            found[at] = expected[2].clone();
        }
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(found, expected, "{all:#?}");
        for attestation in &all {
            assert!(
                attestation.get("problem").is_none() && attestation.get("verification").is_none(),
                "{attestation}"
            );
        }
        let cosign = all.iter().find(|one| one["form"] == "cosign").unwrap();
        assert_eq!((&cosign["tag"], &cosign["platform"]["architecture"]), (&json!(tag), &json!("arm64")));
        let signed = all.iter().find(|one| one["form"] == "bundle").unwrap();
        assert_eq!(signed["subject"], json!(one().digest()));
        assert!(signed["created"].as_str().unwrap().ends_with('Z'), "{signed}");
        // With a key: whose they are is known.
        let all = shown(&cli, &registry, &format!("--key {}", public.display()));
        let answer = |form: &str| {
            all.iter().find(|one| one["form"] == form).unwrap()["verification"]["answer"].clone()
        };
        assert_eq!([answer("bundle"), answer("cosign")], ["verified", "bad"]);
        assert_eq!(all.iter().filter(|one| one["verification"]["answer"] == "unsigned").count(), 2);
        let verified = all.iter().find(|one| one["form"] == "bundle").unwrap();
        assert_eq!(verified["verification"]["key"], signed["key"]);
        let (_, other) = key(&cli, "other");
        let all = shown(&cli, &registry, &format!("--key {}", other.display()));
        assert!(all.iter().all(|one| one["verification"]["answer"] != "verified"), "{all:#?}");
        let text = cli.ok(&format!("inspect --attestations {to} --key {}", public.display()));
        for part in ["the list", "linux/amd64", "https://cyclonedx.org/bom", "nobody", "verified", "unsigned"]
        {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }
}

/// SEC-71: type and subject are compared, with the signature good or not.
#[test]
fn what_is_attached_and_is_something_else_is_told() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    registry.serve_referrers();
    let list = index().push_to(&registry, "app", "1");
    let (secret, public) = key(&cli, "ours");
    let to = format!("docker://{}/app:1", registry.address());
    cli.ok(&format!(
        "attest --predicate {} --type spdx --platform linux/arm64 --sign-key {} {to}",
        predicate(&cli, "{}"),
        secret.display()
    ));
    let ours = shown(&cli, &registry, "")[0].clone();
    let blob = registry.blob("app", &ours["blob"].as_str().unwrap().parse().unwrap()).unwrap();
    let of = |digest: Digest, kind: &str| statement(digest, kind);
    let by_key = json!({ "publicKey": { "hint": "k" }, "tlogEntries": [] });
    let good = of(one().digest(), SPDX);
    let mut twice = serde_json::from_slice::<Value>(&wrapped(&by_key, &good)).unwrap();
    let signature = twice["dsseEnvelope"]["signatures"][0].clone();
    twice["dsseEnvelope"]["signatures"] = json!([signature, signature]);
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    let cases: Vec<(&str, Digest, &str)> = vec![
        ("a good one of another image", bundle(SPDX).put(&registry, None, &blob), "it is not about sha256:"),
        (
            "another type than is told",
            bundle("urn:safe").put(&registry, None, &wrapped(&by_key, &good)),
            "its predicate is of type",
        ),
        (
            "a signature that says it is none",
            bundle(SPDX).put(
                &registry,
                None,
                &wrapped(&by_key, &of(one().digest(), "https://sigstore.dev/cosign/sign/v1")),
            ),
            "its predicate is of type",
        ),
        ("of the list instead", plain(SPDX).put(&registry, None, &of(list, SPDX)), "it is not about sha256:"),
        ("another type, unsigned", plain("urn:safe").put(&registry, None, &good), "its predicate is of type"),
        ("two signatures", bundle(SPDX).put(&registry, None, twice.to_string().as_bytes()), "2 signatures"),
        ("no JSON", plain(SPDX).put(&registry, None, b"{"), "cannot be read"),
        ("a predicate and no statement", plain(SPDX).put(&registry, None, b"{\"a\": 1}"), "has no `_type`"),
        ("too deep", plain(SPDX).put(&registry, None, deep.as_bytes()), "deeper than 64"),
        ("too large", plain(SPDX).put(&registry, None, &vec![b' '; 9 << 20]), "larger than"),
        (
            "a bundle as a statement",
            plain(SPDX).put(&registry, None, &wrapped(&by_key, &good)),
            "has no `_type`",
        ),
    ];
    let all = shown(&cli, &registry, &format!("--key {}", public.display()));
    assert_eq!(all.len(), cases.len() + 1, "{all:#?}");
    for (what, manifest, says) in &cases {
        let found =
            all.iter().find(|one| one["manifest"] == json!(manifest)).unwrap_or_else(|| panic!("{what}"));
        let problem = found["problem"].as_str().unwrap_or_else(|| panic!("{what}: {found}"));
        assert!(problem.contains(says), "{what}: {problem}");
        let answer = found["verification"]["answer"].as_str().unwrap();
        assert!(["bad", "unreadable"].contains(&answer), "{what}: {answer}");
    }
    let text = cli.ok(&format!("inspect --attestations {to}"));
    assert!(text.contains("it is not about"), "{text}");
}

#[test]
fn who_is_said_to_have_signed_is_told_also_of_what_cannot_be_verified() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    registry.serve_referrers();
    index().push_to(&registry, "app", "1");
    let certificate = json!({ "certificate": { "rawBytes": "AAAA" }, "tlogEntries": [{ "logIndex": "1" }] });
    bundle(SPDX).put(&registry, None, &wrapped(&certificate, &statement(one().digest(), SPDX)));
    let evil = json!({ "publicKey": { "hint": "\u{1b}[31mroot\u{202e}" } });
    bundle(SPDX).put(&registry, None, &wrapped(&evil, &statement(one().digest(), SPDX)));
    let (_, public) = key(&cli, "ours");
    let all = shown(&cli, &registry, &format!("--key {}", public.display()));
    let by: Vec<&str> = all.iter().map(|one| one["signedBy"].as_str().unwrap()).collect();
    assert!(by.contains(&"certificate") && by.contains(&"key"), "{by:?}");
    let of =
        |by: &str| all.iter().find(|one| one["signedBy"] == by).unwrap()["verification"]["answer"].clone();
    assert_eq!(of("certificate"), "unreadable", "a key says nothing of it");
    assert_eq!(of("key"), "unknown-key", "it names another one");
    let text = cli.ok(&format!("inspect --attestations docker://{}/app:1", registry.address()));
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
}

#[test]
fn what_is_listed_and_is_none_is_left_out() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let list = index().push_to(&registry, "app", "1");
    assert_eq!(shown(&cli, &registry, ""), [] as [Value; 0]);
    // The tag that stands in for the API is a claim of whoever may write it.
    let theirs = plain(SPDX).put(&registry, None, &statement(one().digest(), SPDX));
    let entry = |digest: Digest| json!({ "mediaType": MANIFEST, "digest": digest, "size": 2, "artifactType": IN_TOTO });
    let entries = [theirs, Digest::sha256(b"gone")].map(entry);
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries });
    registry.put_manifest("app", Tag::of_referrers(&list).as_str(), media_type, index.to_string());
    assert_eq!(shown(&cli, &registry, ""), [] as [Value; 0]);
}

#[test]
fn attestations_of_a_list_in_the_store_are_looked_for_where_it_comes_from_and_went() {
    let (cli, from, to) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    index().push_to(&from, "app", "1");
    let file = predicate(&cli, "{}");
    let attest = |more: &str| cli.ok(&format!("attest --predicate {file} {more}"));
    attest(&format!("--type spdx --platform linux/arm64 docker://{}/app:1", from.address()));
    cli.ok(&format!("create app --all {}/app:1", from.address()));
    let kinds = |cli: &Cli| -> Vec<String> {
        let all = cli.json("inspect --attestations app")["attestations"].as_array().unwrap().clone();
        all.iter().map(|one| one["predicateType"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&cli), [SPDX]);
    cli.ok(&format!("push app docker://{}/app:1", to.address()));
    attest("--type urn:went app");
    assert_eq!(kinds(&cli), ["urn:went", SPDX], "the list's first");
    cli.ok("annotate --index app --annotation a=b");
    assert_eq!(kinds(&cli), [SPDX], "it is another list now");
    cli.keep("image", &one());
    assert_eq!(cli.json("inspect --attestations image")["attestations"], json!([]));
    let layout = cli.put_index(&index(), "one");
    assert_eq!(cli.json(&format!("inspect --attestations {layout}"))["attestations"], json!([]));
}

#[test]
fn keys_are_for_attestations() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    index().push_to(&registry, "app", "1");
    let (secret, public) = key(&cli, "ours");
    let to = format!("docker://{}/app:1", registry.address());
    cli.fails(2, &format!("inspect {to} --key {}", public.display())).says("misuse", &["--attestations"]);
    cli.fails(7, &format!("inspect --attestations {to} --key {}", secret.display()))
        .says("bad_key", &["private key"]);
    for other in ["--raw", "--config", "--layers", "--format oci"] {
        cli.fails(2, &format!("inspect --attestations {to} {other}")).says("misuse", &[]);
    }
}
