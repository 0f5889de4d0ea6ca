//! Layers that their licence keeps elsewhere: left out, or with `--foreign-layers` brought along.

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Method};
use serde_json::{Value, json};

use crate::in_process::Cli;

const LAYER: &[u8] = b"a layer that is not to be distributed";

/// A registry with an image whose second layer lies at these addresses only, and a draft `app` of it.
fn windows(cli: &Cli, addresses: &[String]) -> (FakeRegistry, Digest) {
    let registry = FakeRegistry::start();
    let image = Image::new("windows/amd64").layer("own");
    image.push_to(&registry, "src", "own");
    let mut manifest: Value = serde_json::from_slice(&image.manifest()).unwrap();
    manifest["layers"].as_array_mut().unwrap().push(json!({
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": Digest::sha256(LAYER), "size": LAYER.len(), "urls": addresses,
    }));
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    registry.put_manifest("src", "v1", media_type, manifest.to_string());
    cli.ok(&format!("create app docker://{}/src:v1", registry.address()));
    (registry, Digest::sha256(LAYER))
}

/// A server that has the layer, and its address.
fn elsewhere() -> (FakeRegistry, String) {
    let server = FakeRegistry::start();
    let digest = server.put_blob("cdn", LAYER);
    let address = format!("http://{}/v2/cdn/blobs/{digest}", server.address());
    (server, address)
}

fn counts(report: &Value) -> Vec<(String, u64)> {
    let blobs = report["targets"][0]["blobs"].as_array().unwrap().iter();
    blobs.map(|one| (one["action"].as_str().unwrap().to_owned(), one["count"].as_u64().unwrap())).collect()
}

#[test]
fn a_foreign_layer_stays_where_it_is_unless_it_is_wanted() {
    let (cli, target) = (Cli::new(), FakeRegistry::start());
    let (server, address) = elsewhere();
    let (_source, layer) = windows(&cli, &[address]);
    let push = format!("push app docker://{}/app:1", target.address());
    assert_eq!(counts(&cli.json(&push)), [("copy".to_owned(), 2), ("leave".to_owned(), 1)]);
    assert!(!target.has_blob("app", &layer) && server.requests().is_empty());
    // What is there already but for that layer gets it, too.
    let wanted = format!("{push} --foreign-layers --creds ann:pw");
    assert_eq!(counts(&cli.json(&format!("{wanted} --dry-run")))[0], ("skip".to_owned(), 2));
    assert_eq!(counts(&cli.json(&wanted)), [("skip".to_owned(), 2), ("copy".to_owned(), 1)]);
    assert_eq!(target.blob("app", &layer).unwrap(), LAYER);
    assert!(server.requests().iter().all(|request| request.authorization().is_none()));
    assert_eq!(server.requests().len(), 1);
    assert_eq!(counts(&cli.json(&wanted)), [("skip".to_owned(), 3)]);
}

#[test]
fn a_source_that_has_the_layer_is_read_before_other_addresses() {
    let (cli, one, two) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let (server, address) = elsewhere();
    let (source, layer) = windows(&cli, &[address]);
    source.put_blob("src", LAYER);
    let to = format!("docker://{}/app:1 docker://{}/app:1", one.address(), two.address());
    cli.ok(&format!("push app --foreign-layers {to}"));
    assert!(server.requests().is_empty() && one.has_blob("app", &layer) && two.has_blob("app", &layer));
    let reads = source.requests().into_iter().filter(|request| request.target.ends_with(&layer.to_string()));
    assert_eq!(reads.filter(|request| request.method == Method::Get).count(), 1);
}

#[test]
fn an_image_of_the_target_itself_gets_its_layer() {
    let cli = Cli::new();
    let (_server, address) = elsewhere();
    let (source, layer) = windows(&cli, &[address]);
    cli.ok(&format!("push app --foreign-layers docker://{}/src:list", source.address()));
    assert!(source.has_blob("src", &layer));
}

/// SEC-1: what an address serves is judged by digest and size, and an address gets nothing but a request.
#[test]
fn addresses_are_tried_in_turn_and_none_is_trusted() {
    let (cli, target) = (Cli::new(), FakeRegistry::start());
    let (server, good) = elsewhere();
    let lying = FakeRegistry::start();
    let bad = format!("http://{}/layer", lying.address());
    lying.on(Method::Get, "/layer").always().reply(401).header("www-authenticate", "Basic realm=\"x\"");
    let (_source, layer) = windows(&cli, &["file:///etc/passwd".to_owned(), bad.clone(), good]);
    let push = format!("push app --foreign-layers --creds ann:pw docker://{}/app:1", target.address());
    cli.ok(&push);
    assert!(target.has_blob("app", &layer));
    assert!(lying.requests().iter().all(|request| request.authorization().is_none()));
    assert_eq!((lying.requests().len(), server.requests().len()), (1, 1));

    let (cli, target) = (Cli::new(), FakeRegistry::start());
    let (_source, layer) = windows(&cli, &[bad]);
    lying.clear_rules();
    lying.on(Method::Get, "/layer").always().reply(200).body(vec![0; LAYER.len()]);
    let push = format!("push app --foreign-layers docker://{}/app:1", target.address());
    cli.fails(7, &push).says("bad_content", &[&layer.to_string()]);
    assert!(!target.has_blob("app", &layer) && target.tags("app").is_empty());
}

#[test]
fn a_layer_that_is_nowhere_is_an_error() {
    let (cli, target) = (Cli::new(), FakeRegistry::start());
    let (_source, layer) = windows(&cli, &[]);
    let push = format!("push app --foreign-layers docker://{}/app:1", target.address());
    cli.fails(3, &push).says("image_not_found", &[&layer.to_string()]);
}
