//! Signatures that mean harm: no panic, no success, and neither much memory nor much time.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::{Duration, Instant};

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Index, Ran, Workspace};
use serde_json::{Value, json};

use super::memory::run;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const KEY: &str = include_str!("../../crates/manifest-sign/tests/fixtures/sigstore/ecdsa.pub");
const RING: &[u8] = include_bytes!("../../crates/manifest-sign/tests/fixtures/openpgp/ring.gpg");
/// What verifying takes at most; of a build for debugging, several times that.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 5 });

/// An image in a registry, whose signatures somebody else has put there.
struct Scene {
    workspace: Workspace,
    registry: FakeRegistry,
    image: Digest,
}

impl Scene {
    fn new() -> Self {
        let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
        let image = Image::new("linux/amd64").push_to(&registry, "app", "1");
        workspace.write("cosign.pub", KEY);
        workspace.write("ring.gpg", RING);
        let lookaside = workspace.path().join("lookaside");
        workspace.write(
            "home/.config/containers/registries.d/default.yaml",
            format!("default-docker:\n  lookaside: file://{}\n", lookaside.display()),
        );
        Self { workspace, registry, image }
    }

    fn attach(&self, layers: &[Value]) {
        let config = self.registry.put_blob("app", "{}");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": layers,
        });
        let tag = format!("sha256-{}.sig", self.image.hex());
        self.registry.put_manifest("app", &tag, MANIFEST, manifest.to_string());
    }

    fn simple(&self, number: usize, bytes: impl AsRef<[u8]>) {
        let directory = format!("lookaside/app@sha256={}", self.image.hex());
        self.workspace.write(&format!("{directory}/signature-{number}"), bytes);
    }

    /// Verifies with all keys, and shows what there is; how it is refused.
    #[track_caller]
    fn refused(&self) -> Ran {
        let began = Instant::now();
        let there = format!("docker://{}/app:1", self.registry.address());
        let ran =
            run(&self.workspace, &format!("verify {there} --key cosign.pub --key ring.gpg --output json"));
        assert_eq!(ran.code, Some(10), "{ran:?}");
        assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
        run(&self.workspace, &format!("signatures {there}")).ok();
        ran
    }
}

fn layer(digest: &Digest, size: usize, number: usize) -> Value {
    json!({
        "mediaType": PAYLOAD, "digest": digest, "size": size,
        "annotations": {"dev.cosignproject.cosign/signature": format!("{number:08}")},
    })
}

/// SEC-54.
#[test]
fn an_attachment_of_very_many_layers_is_refused() {
    let scene = Scene::new();
    // More bytes than any manifest that is read.
    let digest = Digest::sha256(b"");
    scene.attach(&(0..100_000).map(|number| layer(&digest, 0, number)).collect::<Vec<_>>());
    assert!(scene.refused().stderr.contains("unreadable"));
    // As many as fit.
    let digests = (0..9_000).map(|number: u32| Digest::sha256(&number.to_le_bytes()));
    scene.attach(&digests.enumerate().map(|(at, digest)| layer(&digest, 1, at)).collect::<Vec<_>>());
    assert!(scene.refused().stderr.contains("unreadable"));
}

/// SEC-54: one large payload, which many layers name.
#[test]
fn many_signatures_of_one_large_payload_take_no_memory() {
    let scene = Scene::new();
    let large = vec![b' '; 4 << 20];
    let digest = scene.registry.put_blob("app", large.clone());
    scene.attach(&(0..900).map(|number| layer(&digest, large.len(), number)).collect::<Vec<_>>());
    scene.refused();
}

/// SEC-54: signatures of many images, which are read at once.
#[test]
fn large_signatures_of_many_images_take_no_memory() {
    let mut scene = Scene::new();
    let images: Vec<Image> = (0..24).map(|at| Image::new("linux/amd64").layer(format!("{at}"))).collect();
    let list = Index::of(&images.iter().collect::<Vec<_>>()).push_to(&scene.registry, "app", "1");
    let large = vec![b' '; 4 << 20];
    let digest = scene.registry.put_blob("app", large.clone());
    let digests: Vec<Digest> = images.iter().map(Image::digest).chain([list]).collect();
    for image in digests {
        scene.image = image;
        scene.attach(&[layer(&digest, large.len(), 1), layer(&digest, large.len(), 2)]);
        scene.simple(1, &large[1..]);
    }
    assert!(scene.refused().stderr.contains("and 24 more of 25"));
}

/// SEC-58.
#[test]
fn hostile_messages_are_refused() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifest-sign/tests/fixtures/openpgp");
    let good = fs::read(format!("{fixtures}/gpg.pgp")).unwrap();
    let long_packet = [&[0xcb, 0xff, 0xff, 0xff, 0xff, 0xff][..], &[0; 64]].concat();
    let partial = [&[0xcb, 0xfe][..], &vec![0xfe; 1 << 20]].concat();
    let nested = {
        use std::io::Write as _;
        let mut inner = good.clone();
        for _ in 0..40 {
            let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
            deflate.write_all(&inner).unwrap();
            inner = [&[0xa3, 1][..], &deflate.finish().unwrap()].concat();
        }
        inner
    };
    for (name, message) in [
        ("empty", Vec::new()),
        ("a packet that says it is very long", long_packet),
        ("pieces without an end", partial),
        ("packed again and again", nested),
        ("cut", good[..good.len() / 2].to_vec()),
        ("4 MiB of nothing", vec![0x80; (4 << 20) - 1]),
        ("text", b"-----BEGIN PGP MESSAGE-----\n".repeat(10_000)),
    ] {
        let scene = Scene::new();
        scene.simple(1, message);
        let ran = scene.refused();
        assert!(ran.stderr.contains("unreadable") || ran.stderr.contains("bad_signature"), "{name}: {ran:?}");
    }
    let scene = Scene::new();
    for number in 1..=130 {
        scene.simple(number, vec![b'x'; 200 << 10]);
    }
    scene.refused();
}

/// SEC-58: keys that mean harm are refused before anything is asked.
#[test]
fn hostile_keyrings_are_refused() {
    let scene = Scene::new();
    let there = format!("docker://{}/app:1", scene.registry.address());
    for ring in [
        &b"\x99\xff\xff"[..],
        b"\xc6\xff\xff\xff\xff\xff\x04",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n",
    ] {
        scene.workspace.write("bad.gpg", ring);
        let ran = run(&scene.workspace, &format!("verify {there} --key bad.gpg"));
        assert_eq!(ran.code, Some(7), "{ran:?}");
    }
    assert!(scene.registry.requests().is_empty());
}

/// SEC-78: verifying needs to write nothing.
#[test]
fn a_home_that_cannot_be_written_keeps_nobody_from_verifying() {
    let scene = Scene::new();
    let there = format!("docker://{}/app:1", scene.registry.address());
    let payload = json!({
        "critical": {
            "identity": {"docker-reference": format!("{}/app:1", scene.registry.address())},
            "image": {"docker-manifest-digest": scene.image},
            "type": "cosign container image signature",
        },
        "optional": null,
    })
    .to_string();
    let file = |name: &str| scene.workspace.path().join(name).display().to_string();
    let openssl = |words: &str| {
        let mut command = scene.workspace.command(manifest_testkit::program("openssl"));
        Ran::of(command.args(words.split_whitespace())).ok().to_owned()
    };
    scene.workspace.write("payload", &payload);
    openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem");
    openssl("pkey -in key.pem -pubout -out cosign.pub");
    openssl("dgst -sha256 -sign key.pem -out signature payload");
    let signature = openssl("base64 -A -in signature");
    let digest = scene.registry.put_blob("app", payload.clone());
    let mut signed = layer(&digest, payload.len(), 0);
    signed["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
    scene.attach(&[signed]);

    let (home, all) = (scene.workspace.home(), Vec::from(["home", "run", "tmp"]));
    let directories: Vec<_> = all.iter().map(|name| scene.workspace.path().join(name)).collect();
    for directory in &directories {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o555)).unwrap();
    }
    fs::set_permissions(scene.workspace.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let verify = ["verify", &there, "--key", &file("cosign.pub"), "--key", &file("ring.gpg")];
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = if is_root {
        // Permissions mean nothing to root, so another user runs a copy that he can reach.
        fs::copy(super::MANIFEST, file("manifest")).unwrap();
        let mut command = scene.workspace.command(manifest_testkit::program("setpriv"));
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", &file("manifest")]);
        command
    } else {
        scene.workspace.command(super::MANIFEST)
    };
    command.args(verify);
    let ran = Ran::of(&mut command);
    for directory in &directories {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert!(ran.ok().contains("verified"), "{ran:?}");
    assert!(!home.join(".cache").join("manifest").exists());
}
