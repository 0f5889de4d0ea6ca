//! All that hangs on one manifest.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test ends at the first thing that is not as it should be; its files need not survive a crash"
)]

use std::path::Path;

use manifest_core::{Descriptor, Digest, MediaType};
use manifest_testkit::{Client, FakeRegistry, Image, Index, Tar, docker_archive};
use manifest_transport::{Archive, ArchiveKind, Graph, Layout, Origin, Place, TransportError};
use serde_json::{Value, json};
use tempfile::TempDir;

fn image(n: usize) -> Image {
    Image::new("linux/amd64").layer(format!("layer {n}")).layer("shared")
}

fn of(media_type: MediaType, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
}

fn blob(layout: &Path, bytes: &[u8]) {
    let path = layout.join("blobs/sha256").join(Digest::sha256(bytes).hex());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn list(layout: &Path, entries: &[Descriptor]) -> Descriptor {
    let entry = |e: &Descriptor| json!({ "mediaType": e.media_type, "digest": e.digest, "size": e.size });
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    let bytes =
        json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": entries }).to_string();
    blob(layout, bytes.as_bytes());
    of(MediaType::OCI_INDEX, bytes.as_bytes())
}

fn in_layout(layout: &Path, image: &Image) -> Descriptor {
    image.write_layout(layout, "some");
    of(image.media_type(), &image.manifest())
}

fn digests(graph: &Graph) -> Vec<Digest> {
    graph.manifests.iter().map(|node| node.descriptor.digest).collect()
}

#[tokio::test]
async fn a_graph_is_the_same_wherever_it_lies() {
    let (dir, registry, client) = (TempDir::new().unwrap(), FakeRegistry::start(), Client::default());
    let (one, two) = (image(1), image(2));
    let index = Index::of(&[&one, &two]);
    let layout = dir.path().join("layout");
    index.write_layout(&layout, "v1");
    index.push_to(&registry, "app", "v1");
    let tar = dir.path().join("oci.tar");
    std::fs::write(&tar, Tar::new().tree(&layout, "").finish()).unwrap();
    let root = of(index.media_type(), &index.manifest());
    for place in [
        Place::Layout(Layout::new(&layout)),
        Place::Archive(Archive::new(ArchiveKind::Oci, &tar)),
        client.repository(&registry.address(), "app"),
    ] {
        let graph = Graph::read(&place, &root).await.unwrap();
        assert_eq!(digests(&graph), [one.digest(), two.digest(), root.digest], "{place}");
        assert_eq!(graph.blobs.len(), 5, "two configurations, two layers, and one that both have");
        for node in &graph.manifests {
            assert!(node.descriptor.digest.verifies(node.bytes.as_ref().unwrap()));
            assert_eq!(node.origin, Origin::AsFound);
        }
    }
}

/// SEC-59.
#[tokio::test]
async fn a_list_beside_and_within_others_comes_once_and_before_them() {
    let dir = TempDir::new().unwrap();
    let layout = dir.path();
    let leaf = in_layout(layout, &image(1));
    let inner = list(layout, std::slice::from_ref(&leaf));
    let middle = list(layout, std::slice::from_ref(&inner));
    let outer = list(layout, &[inner.clone(), middle.clone(), leaf.clone()]);
    let graph = Graph::read(&Place::Layout(Layout::new(layout)), &outer).await.unwrap();
    assert_eq!(digests(&graph), [&leaf, &inner, &middle, &outer].map(|descriptor| descriptor.digest));
}

#[tokio::test]
async fn what_is_unknown_is_kept_and_what_may_not_be_distributed_is_left() {
    let dir = TempDir::new().unwrap();
    let layout = dir.path();
    let foreign = of("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into(), b"foreign");
    let layer = of("application/vnd.example.layer".into(), b"layer");
    let config = of(MediaType::OCI_EMPTY, b"{}");
    let part = |d: &Descriptor| json!({ "mediaType": d.media_type, "digest": d.digest, "size": d.size });
    let subject = part(&of(MediaType::OCI_MANIFEST, b"not here"));
    let artifact = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "artifactType": "application/vnd.example",
        "config": part(&config), "layers": [part(&foreign), part(&layer)], "subject": subject,
    })
    .to_string();
    blob(layout, artifact.as_bytes());
    let artifact = of(MediaType::OCI_MANIFEST, artifact.as_bytes());
    let unknown = of("application/vnd.example.unknown+json".into(), b"unknown");
    let root = list(layout, &[unknown.clone(), artifact.clone()]);
    let graph = Graph::read(&Place::Layout(Layout::new(layout)), &root).await.unwrap();
    assert_eq!(digests(&graph), [artifact.digest, root.digest]);
    let found = |parts: &[Descriptor]| parts.iter().map(|part| part.digest).collect::<Vec<_>>();
    assert_eq!(found(&graph.foreign), [foreign.digest]);
    let mut blobs = found(&graph.blobs);
    let mut expected = vec![config.digest, layer.digest, unknown.digest];
    blobs.sort();
    expected.sort();
    assert_eq!(blobs, expected);
}

/// SEC-59.
#[tokio::test]
async fn eight_lists_within_one_another_are_followed_and_not_more() {
    let dir = TempDir::new().unwrap();
    let mut root = in_layout(dir.path(), &image(1));
    for depth in 1..=9 {
        root = list(dir.path(), &[root]);
        let graph = Graph::read(&Place::Layout(Layout::new(dir.path())), &root).await;
        match depth {
            1..=8 => assert_eq!(graph.unwrap().manifests.len(), depth + 1),
            _ => assert!(matches!(graph, Err(TransportError::TooDeep(_, 8))), "{graph:?}"),
        }
    }
}

#[tokio::test]
async fn a_child_that_is_missing_or_not_what_the_list_says_is_an_error() {
    let dir = TempDir::new().unwrap();
    let (layout, place) = (dir.path(), Place::Layout(Layout::new(dir.path())));
    let good = in_layout(layout, &image(1));
    let missing = of(MediaType::OCI_MANIFEST, b"missing");
    let (mut long, mut other) = (good.clone(), good.clone());
    long.size += 1;
    other.media_type = MediaType::DOCKER_MANIFEST;
    let read = |entry: Descriptor| {
        let (root, place) = (list(layout, &[entry]), place.clone());
        async move { Graph::read(&place, &root).await.unwrap_err() }
    };
    assert!(matches!(read(missing).await, TransportError::NotFound(_)));
    assert!(matches!(read(long).await, TransportError::SizeMismatch { .. }));
    assert!(matches!(read(other).await, TransportError::Decode { .. }));
}

#[tokio::test]
async fn the_graph_of_a_docker_archive_says_that_its_manifest_was_made_up() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("docker.tar");
    std::fs::write(&path, docker_archive(&[(&image(1), &["app:v1"])])).unwrap();
    let archive = Archive::new(ArchiveKind::Docker, &path);
    let offers = archive.offers().await.unwrap();
    let graph = Graph::read(&Place::Archive(archive), &offers[0].descriptor).await.unwrap();
    assert_eq!(graph.manifests[0].origin, Origin::Synthesised);
    assert_eq!(graph.blobs.len(), 3);
}
