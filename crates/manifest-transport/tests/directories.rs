//! Images in a flat directory, as other tools write it and as they read it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use manifest_core::Digest;
use manifest_testkit::{Image, Index, Tool, descriptor, put_blob, read_blob};
use manifest_transport::{
    Directory, Guard, Kept, Location, MAX_SIGNATURE, Pick, Place, Transport, TransportError, Which,
};
use tempfile::TempDir;

struct Scene {
    home: TempDir,
    directory: Directory,
    place: Place,
    children: [Image; 2],
    list: Index,
}

impl Scene {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let directory = Directory::new(home.path().join("images"));
        let place = Place::Directory(directory.clone());
        let children = [Image::new("linux/amd64").layer("a"), Image::new("linux/arm64").layer("b")];
        let list = Index::of(&[&children[0], &children[1]]);
        Self { home, directory, place, children, list }
    }

    /// Writes everything, and the list last.
    async fn filled() -> Self {
        let scene = Self::new();
        for child in &scene.children {
            for blob in child.blobs() {
                put_blob(&scene.place, blob.bytes).await.unwrap();
            }
            let manifest = child.manifest().into();
            scene.place.put_manifest(&child.digest(), &child.media_type(), manifest).await.unwrap();
        }
        scene.show(&scene.list.manifest()).await;
        scene
    }

    async fn show(&self, manifest: &[u8]) -> Option<Digest> {
        let bytes = Bytes::copy_from_slice(manifest);
        self.directory.publish(&Digest::sha256(manifest), &bytes).await.unwrap()
    }

    fn root(&self) -> &Path {
        self.directory.root()
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.root()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".manifest.lock").collect()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.root()).unwrap();
        std::io::Write::write_all(&mut std::fs::File::create(self.root().join(name)).unwrap(), bytes)
            .unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.root().join(name)).unwrap()
    }

    async fn signatures(&self, digest: &Digest) -> Vec<Bytes> {
        self.place.own_signatures().unwrap().read(digest).await.unwrap()
    }

    async fn sign(&self, digest: &Digest, signature: &str) -> Kept {
        self.place.own_signatures().unwrap().add(digest, signature.as_bytes()).await.unwrap()
    }

    fn digest(&self) -> Digest {
        Digest::sha256(&self.list.manifest())
    }
}

fn manifest_of(digest: &Digest) -> String {
    format!("{}.manifest.json", digest.hex())
}

#[tokio::test]
async fn the_files_are_those_that_skopeo_writes_and_each_reads_what_the_other_wrote() {
    let scene = Scene::filled().await;
    let mut expected = BTreeSet::from(["version".to_owned(), "manifest.json".to_owned()]);
    for child in &scene.children {
        expected.insert(manifest_of(&child.digest()));
        expected.extend(child.blobs().iter().map(|blob| blob.digest.hex()));
    }
    assert_eq!(scene.names(), expected);
    assert_eq!(scene.read("manifest.json"), scene.list.manifest());

    let skopeo = Tool::new("skopeo");
    let source = format!("dir:{}", scene.root().display());
    assert_eq!(skopeo.run(["inspect", "--raw", &source]).ok().as_bytes(), scene.list.manifest());
    let copied = Directory::new(scene.home.path().join("copied"));
    skopeo.run(["copy", "--all", &source, &format!("dir:{}", copied.root().display())]).ok();
    for entry in std::fs::read_dir(copied.root()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), scene.read(name), "{name}");
    }
    let place = Place::Directory(copied);
    assert_eq!(place.manifest(&Which::Local(Pick::Only)).await.unwrap().digest, scene.digest());
    for child in &scene.children {
        let found = place.manifest(&child.digest().into()).await.unwrap();
        assert_eq!(found.bytes, child.manifest());
        for blob in child.blobs() {
            assert_eq!(read_blob(&place, &descriptor(&blob.bytes)).await.unwrap(), blob.bytes);
        }
    }
}

#[tokio::test]
async fn what_is_damaged_missing_or_a_link_is_not_taken_for_content() {
    let scene = Scene::filled().await;
    let [child, other] = &scene.children;
    let absent = Digest::sha256(b"absent");
    for pick in [Pick::Digest(absent), Pick::Name("v1".to_owned()), Pick::Position(0)] {
        let refused = scene.place.manifest(&Which::Local(pick)).await.unwrap_err();
        assert!(matches!(refused, TransportError::NotFound(_)), "{refused}");
    }
    let blob = child.blobs().remove(0);
    scene.write(&blob.digest.hex(), b"something else");
    assert!(!scene.place.has_blob(&descriptor(&blob.bytes)).await.unwrap());
    let wrong = read_blob(&scene.place, &descriptor(&blob.bytes)).await.unwrap_err();
    let is_told =
        matches!(wrong, TransportError::SizeMismatch { .. } | TransportError::DigestMismatch { .. });
    assert!(is_told, "{wrong}");

    scene.write(&manifest_of(&child.digest()), &other.manifest());
    let wrong = scene.place.manifest(&child.digest().into()).await.unwrap_err();
    assert!(matches!(wrong, TransportError::DigestMismatch { .. }), "{wrong}");
    assert!(!scene.place.has_manifest(&child.digest()).await.unwrap());
    scene.place.put_manifest(&child.digest(), &child.media_type(), child.manifest().into()).await.unwrap();
    assert!(scene.place.has_manifest(&child.digest()).await.unwrap(), "a push mends what is damaged");

    #[cfg(unix)]
    for name in [other.blobs().remove(0).digest.hex(), "manifest.json".to_owned(), "version".to_owned()] {
        let path = scene.root().join(&name);
        std::fs::rename(&path, scene.home.path().join(&name)).unwrap();
        std::os::unix::fs::symlink(scene.home.path().join(&name), &path).unwrap();
    }
    #[cfg(unix)]
    {
        assert!(!scene.place.has_blob(&descriptor(&other.blobs().remove(0).bytes)).await.unwrap());
        let refused = scene.place.manifest(&Which::Local(Pick::Only)).await.unwrap_err();
        assert!(matches!(refused, TransportError::Io(..)), "{refused}");
    }
}

/// SEC-39 and SEC-51 for signatures.
#[cfg(unix)]
#[tokio::test]
async fn a_signature_that_is_a_link_or_too_large_is_refused() {
    let scene = Scene::filled().await;
    std::os::unix::fs::symlink("/etc/hostname", scene.root().join("signature-1")).unwrap();
    let signatures = scene.place.own_signatures().unwrap();
    let refused = signatures.read(&scene.digest()).await.unwrap_err();
    assert!(matches!(refused, TransportError::Io(..)), "{refused}");
    std::fs::remove_file(scene.root().join("signature-1")).unwrap();
    let large = std::fs::File::create(scene.root().join("signature-1")).unwrap();
    large.set_len(MAX_SIGNATURE as u64 + 1).unwrap();
    let refused = signatures.read(&scene.digest()).await.unwrap_err();
    assert!(matches!(refused, TransportError::TooLarge { .. }), "{refused}");
}

#[tokio::test]
async fn a_directory_with_anything_else_in_it_is_not_written_to() {
    for (name, text, part) in [
        ("notes.txt", "mine", "\"notes.txt\" and no file version"),
        ("version", "1.0\n", "its version is \"1.0\""),
        ("version", "Directory Transport Version: 1.2\n", "1.2"),
    ] {
        let scene = Scene::new();
        scene.write(name, text.as_bytes());
        let refused = put_blob(&scene.place, b"blob".to_vec()).await.unwrap_err();
        assert!(matches!(refused, TransportError::NotAnImageDirectory(..)), "{refused}");
        assert!(refused.to_string().contains(part), "{refused}");
        let refused = scene.directory.publish(&scene.digest(), &scene.list.manifest().into()).await;
        assert!(matches!(refused, Err(TransportError::NotAnImageDirectory(..))), "{refused:?}");
        assert_eq!(scene.names(), BTreeSet::from([name.to_owned()]));
    }
    // What a killed push may have left before it wrote the version.
    let scene = Scene::new();
    scene.write(".tmp-x", b"");
    put_blob(&scene.place, b"blob".to_vec()).await.unwrap();
    let named = Bytes::from(scene.list.manifest());
    let refused = scene.place.put_named(Some("v1"), &"x".into(), named, &Guard::default()).await.unwrap_err();
    assert!(matches!(refused, TransportError::Nameless(_)), "{refused}");
}

#[tokio::test]
async fn sixteen_writers_of_a_new_directory_do_not_take_each_other_for_strangers() {
    for _ in 0..16 {
        let scene = Scene::new();
        let writing = (0..16).map(|n| {
            let place = scene.place.clone();
            tokio::spawn(async move { put_blob(&place, vec![n]).await.map(drop) })
        });
        for written in writing.collect::<Vec<_>>() {
            written.await.unwrap().unwrap();
        }
        assert_eq!(scene.names().len(), 17);
    }
}

#[tokio::test]
async fn what_was_meant_before_stays_with_its_signatures_and_comes_back() {
    let scene = Scene::filled().await;
    let (old, new) = (scene.digest(), Digest::sha256(&scene.children[0].manifest()));
    assert!(matches!(scene.sign(&old, "by ann").await, Kept::Added(_)));
    assert!(matches!(scene.sign(&old, "by ann").await, Kept::Already(_)));
    scene.sign(&new, "by bob").await;
    assert_eq!(scene.read("signature-1"), b"by ann");
    assert_eq!(scene.read(&format!("{}.signature-1", new.hex())), b"by bob");

    assert_eq!(scene.show(&scene.children[0].manifest()).await, Some(old));
    assert_eq!(scene.read("signature-1"), b"by bob");
    assert_eq!(scene.read(&manifest_of(&old)), scene.list.manifest());
    assert_eq!(scene.signatures(&old).await, ["by ann"]);
    assert_eq!(scene.signatures(&new).await, ["by bob"]);

    assert_eq!(scene.directory.take_back(&new, Some(&old)).await.unwrap(), None);
    assert_eq!(
        (scene.read("manifest.json"), scene.read("signature-1")),
        (scene.list.manifest(), b"by ann".into())
    );
    assert_eq!(scene.signatures(&new).await, ["by bob"]);
    let stays = scene.directory.take_back(&new, None).await.unwrap();
    assert_eq!(stays, Some("somebody else has written to it since"));
    assert_eq!(scene.directory.take_back(&old, None).await.unwrap(), None);
    assert!(!scene.root().join("manifest.json").exists());
    assert!(scene.place.has_manifest(&old).await.unwrap(), "nothing is lost");
    assert_eq!(scene.place.own_signatures().unwrap().remove_but(&old, |_| false).await.unwrap(), (1, 0));
}

/// DUR-3: whatever a killed publication has done of it, the next one ends it.
#[tokio::test]
async fn a_publication_that_ended_before_its_signatures_is_ended_by_the_next() {
    let scene = Scene::filled().await;
    let digest = scene.digest();
    scene.write(&format!("{}.signature-1", digest.hex()), b"by ann");
    assert_eq!(scene.signatures(&digest).await, ["by ann"], "and is signed all the same");
    assert_eq!(scene.show(&scene.list.manifest()).await, Some(digest));
    assert_eq!(scene.read("signature-1"), b"by ann");
    assert_eq!(scene.signatures(&digest).await, ["by ann"]);
}

#[tokio::test]
async fn a_location_opens_a_directory_and_what_is_not_there_is_told() {
    let scene = Scene::filled().await;
    let text = format!("dir:{}", scene.root().display());
    let (place, which) = Transport::default().open(&text.parse::<Location>().unwrap()).unwrap();
    assert_eq!((place.to_string(), &place), (text, &scene.place));
    assert_eq!(place.manifest(&which).await.unwrap().digest, scene.digest());
    let nothing = Directory::new(scene.home.path().join("nothing"));
    let refused = nothing.manifest(&Pick::Only).await.unwrap_err();
    assert!(matches!(refused, TransportError::NotAnImageDirectory(..)), "{refused}");
    assert!(!nothing.root().exists());
}
