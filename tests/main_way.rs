//! The way most lists go: images in a registry, one list of them, pushed; other people's programs read it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a broken promise ends a test by a panic; files of tests need not survive a crash"
)]

use std::fs;

use manifest_core::Digest;
use manifest_testkit::{AccessLine, DockerRegistry, Image, Index, Method, Ran, Tool, Workspace};

const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

const PLATFORMS: [&str; 5] =
    ["linux/amd64", "linux/arm64/v8", "linux/arm/v7", "linux/s390x", "windows/amd64"];

/// Which images a registry is filled with.
#[derive(Clone, Copy)]
enum Kind {
    Oci,
    Docker,
}

/// Five images of five platforms.
fn images(kind: Kind) -> Vec<Image> {
    let image = |platform: &&str| match kind {
        Kind::Oci => Image::new(platform),
        Kind::Docker => Image::new(platform).docker(),
    };
    PLATFORMS.iter().map(image).collect()
}

/// Puts five images into the repository `team/app`; their references.
fn fill(registry: &DockerRegistry, kind: Kind) -> Vec<String> {
    let numbered = images(kind).into_iter().enumerate();
    let push = |(at, image): (usize, Image)| {
        image.push_http(&registry.address(), "team/app", &format!("v{at}"));
        format!("docker://{}/team/app:v{at}", registry.address())
    };
    numbered.map(push).collect()
}

/// Runs our program; `words` is a command line without quoting, `more` are further arguments.
fn manifest(workspace: &Workspace, words: &str, more: &[String]) -> Ran {
    let words = words.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
    workspace.run(MANIFEST, words.chain(more.iter().cloned()))
}

/// What another program finds at a reference, to the byte.
fn skopeo_raw(reference: &str) -> String {
    Tool::new("skopeo").run(["inspect", "--raw", "--tls-verify=false", reference]).ok().to_owned()
}

/// The requests that our program sent.
fn ours(registry: &DockerRegistry) -> Vec<AccessLine> {
    registry.requests().into_iter().filter(|line| line.agent.starts_with("manifest/")).collect()
}

fn sha256(text: &str) -> String {
    Digest::sha256(text.as_bytes()).to_string()
}

/// A0-11.
#[test]
fn a_list_of_five_images_takes_twelve_requests_and_stands_there_to_the_byte() {
    let (registry, workspace) = (DockerRegistry::plain(), Workspace::new());
    let sources = fill(&registry, Kind::Oci);
    let target = format!("docker://{}/team/app:1.0", registry.address());

    manifest(&workspace, "create app:1.0", &sources).ok();
    let drafted = manifest(&workspace, "inspect --raw app:1.0", &[]).ok().to_owned();
    let pushed = manifest(&workspace, &format!("push --digestfile digest app:1.0 {target}"), &[]);

    assert_eq!(pushed.ok(), format!("{}\n", sha256(&drafted)));
    assert_eq!(fs::read_to_string(workspace.path().join("digest")).unwrap(), sha256(&drafted));
    assert_eq!(skopeo_raw(&target), drafted);
    let images = images(Kind::Oci);
    assert_eq!(drafted, String::from_utf8(Index::of(&images.iter().collect::<Vec<_>>()).manifest()).unwrap());

    let requests = ours(&registry);
    let puts: Vec<_> = requests.iter().filter(|line| !line.method.reads()).collect();
    // Five manifests, five configurations, a look at the tag, the list.
    assert!(requests.len() <= 12, "{} requests: {requests:#?}", requests.len());
    assert_eq!(puts.len(), 1, "{puts:#?}");
    assert_eq!((puts[0].target.as_str(), puts[0].status), ("/v2/team/app/manifests/1.0", 201));
}

#[test]
fn a_docker_list_of_docker_images_stands_there_to_the_byte() {
    let (registry, workspace) = (DockerRegistry::plain(), Workspace::new());
    let sources = fill(&registry, Kind::Docker);
    let to = |tag: &str| format!("docker://{}/team/app:{tag}", registry.address());

    manifest(&workspace, "create --format v2s2 asked", &sources).ok();
    manifest(&workspace, "create derived", &sources).ok();
    manifest(&workspace, "create --format oci converted", &sources).ok();
    let drafted = manifest(&workspace, "inspect --raw asked", &[]).ok().to_owned();
    let oci = manifest(&workspace, "inspect --raw converted", &[]).ok().to_owned();
    assert!(drafted.contains(DOCKER_LIST), "{drafted}");
    assert!(oci.contains(OCI_INDEX), "{oci}");
    assert_eq!(manifest(&workspace, "inspect --raw --format v2s2 converted", &[]).ok(), drafted);

    for (list, options) in [("asked", ""), ("derived", ""), ("converted", "--format v2s2")] {
        let pushed = manifest(&workspace, &format!("push {options} {list} {}", to(list)), &[]);
        assert_eq!(pushed.ok().trim_end(), sha256(&drafted), "{list}");
        assert_eq!(skopeo_raw(&to(list)), drafted, "{list}");
        let said = pushed.stderr.contains("converted");
        assert_eq!(said, list == "converted", "only a conversion is said: {}", pushed.stderr);
    }
}

#[test]
fn oci_images_are_refused_in_a_docker_list() {
    let (registry, workspace) = (DockerRegistry::plain(), Workspace::new());
    let sources = fill(&registry, Kind::Oci);
    let created = manifest(&workspace, "create --format v2s2 app", &sources);
    let said = created.fails(8);
    assert!(said.contains("hint: --format oci"), "{said}");
    assert_eq!(manifest(&workspace, "exists app", &[]).code, Some(1), "a refused list is not created");

    manifest(&workspace, "create app", &sources).ok();
    let before = ours(&registry).len();
    let target = format!("docker://{}/team/app:latest", registry.address());
    let pushed = manifest(&workspace, &format!("push --format v2s2 app {target}"), &[]);
    assert!(pushed.fails(8).contains("hint: --format oci"), "{pushed:?}");
    assert_eq!(ours(&registry).len(), before, "a gate is there to refuse before anything is sent");
}

#[test]
fn a_list_arrives_in_another_repository_and_in_another_registry() {
    let workspace = Workspace::new();
    let (here, there) = (DockerRegistry::plain(), DockerRegistry::plain());
    for (kind, list) in [(Kind::Oci, "oci"), (Kind::Docker, "docker")] {
        let sources = fill(&here, kind);
        manifest(&workspace, &format!("create {list}"), &sources).ok();
        let drafted = manifest(&workspace, &format!("inspect --raw {list}"), &[]).ok().to_owned();
        for registry in [&here, &there] {
            let target = format!("docker://{}/other/{list}:1.0", registry.address());
            let pushed = manifest(&workspace, &format!("push {list} {target}"), &[]);
            assert_eq!(pushed.ok().trim_end(), sha256(&drafted));
            assert_eq!(skopeo_raw(&target), drafted);

            // A copy reads every manifest and every blob, and checks them.
            let copy = format!("dir:{}/{list}", workspace.path().display());
            let skopeo = Tool::new("skopeo");
            skopeo.run(["copy", "--all", "--src-tls-verify=false", &target, &copy]).ok();
            for image in images(kind) {
                for blob in image.blobs() {
                    let file = workspace.path().join(list).join(blob.digest.hex());
                    assert_eq!(fs::read(file).unwrap(), blob.bytes);
                }
            }
        }
    }
    let mounted = ours(&here).into_iter().filter(|line| line.target.contains("mount=")).count();
    assert!(mounted >= 20, "ten configurations and layers of each kind are mounted: {mounted}");
    assert!(ours(&here).iter().all(|line| line.method != Method::Put || !line.target.contains("/blobs/")));
}

#[test]
fn buildah_writes_the_same_bytes_for_the_same_images() {
    let (registry, workspace) = (DockerRegistry::plain(), Workspace::new());
    let sources = fill(&registry, Kind::Oci);
    let to = |name: &str| format!("docker://{}/team/{name}:1.0", registry.address());

    let buildah = Tool::new("buildah");
    buildah.run(["manifest", "create", "app:1.0"]).ok();
    for source in &sources {
        buildah.run(["manifest", "add", "--tls-verify=false", "app:1.0", source]).ok();
    }
    let push = ["manifest", "push", "--all", "--format", "oci", "--tls-verify=false", "app:1.0"];
    buildah.run(push.into_iter().chain([to("buildah").as_str()])).ok();

    manifest(&workspace, "create app:1.0", &sources).ok();
    let digest = manifest(&workspace, &format!("push app:1.0 {}", to("ours")), &[]).ok().to_owned();
    assert_eq!(skopeo_raw(&to("ours")), skopeo_raw(&to("buildah")));
    assert_eq!(digest.trim_end(), sha256(&skopeo_raw(&to("buildah"))));
}

#[test]
fn a_dry_run_sends_reading_requests_only() {
    let workspace = Workspace::new();
    let (here, there) = (DockerRegistry::plain(), DockerRegistry::plain());
    manifest(&workspace, "create app", &fill(&here, Kind::Oci)).ok();
    for registry in [&here, &there] {
        for repository in ["team/app", "other/app"] {
            let target = format!("docker://{}/{repository}:1.0", registry.address());
            let ran = manifest(&workspace, &format!("push --dry-run app {target}"), &[]);
            let plan = ran.ok();
            assert!(plan.contains(&format!("as {target}")), "{plan}");
            assert!(plan.lines().count() >= 6, "five images and the list: {plan}");
        }
        let wrote: Vec<_> = ours(registry).into_iter().filter(|line| !line.method.reads()).collect();
        assert!(wrote.is_empty(), "{wrote:#?}");
    }
    assert!(!ours(&there).is_empty(), "the target is asked what it has");
}

#[test]
fn what_is_there_already_is_asked_for_once_and_skipped() {
    let workspace = Workspace::new();
    let (here, there) = (DockerRegistry::plain(), DockerRegistry::plain());
    manifest(&workspace, "create app", &fill(&here, Kind::Oci)).ok();
    let push = format!("push app docker://{}/team/app:1.0", there.address());
    let first = manifest(&workspace, &push, &[]).ok().to_owned();
    let before = ours(&there).len();

    assert_eq!(manifest(&workspace, &push, &[]).ok(), first);
    let again = ours(&there).split_off(before);
    let of = |method| again.iter().filter(|line| line.method == method).count();
    // The tag means the list already.
    assert_eq!((of(Method::Head), of(Method::Get), of(Method::Put)), (5, 1, 0), "{again:#?}");
}

#[test]
fn without_all_only_the_list_is_sent() {
    let workspace = Workspace::new();
    let (here, there) = (DockerRegistry::plain(), DockerRegistry::plain());
    manifest(&workspace, "create app", &fill(&here, Kind::Oci)).ok();
    let push = |all: &str, registry: &DockerRegistry| {
        let target = format!("docker://{}/team/app:1.0", registry.address());
        manifest(&workspace, &format!("push {all} app {target}"), &[])
    };
    let refused = push("--all=false", &there);
    let said = refused.fails(5);
    assert!(said.contains("hint: ") && said.contains("--all=false"), "{said}");
    push("--all", &there).ok();
    let before = ours(&there).len();
    push("--all=false", &there).ok();
    assert_eq!(ours(&there).len(), before + 1);
}

#[test]
fn a_list_leaves_the_store_when_it_was_pushed_and_only_then() {
    let (registry, workspace) = (DockerRegistry::plain(), Workspace::new());
    manifest(&workspace, "create app", &fill(&registry, Kind::Oci)).ok();
    let target = format!("docker://{}/team/app:1.0", registry.address());
    manifest(&workspace, &format!("push --rm --format v2s2 app {target}"), &[]).fails(8);
    assert_eq!(manifest(&workspace, "exists app", &[]).code, Some(0));
    manifest(&workspace, &format!("push --rm app {target}"), &[]).ok();
    assert_eq!(manifest(&workspace, "exists app", &[]).code, Some(1));
    assert_eq!(manifest(&workspace, "ls --quiet", &[]).ok().lines().filter(|l| l.contains("app")).count(), 0);
}

#[test]
fn a_layout_gains_the_list_and_keeps_what_it_had() {
    let (registry, workspace) = (DockerRegistry::plain(), Workspace::new());
    let layout = workspace.path().join("layout");
    let old = Image::new("linux/riscv64");
    old.write_layout(&layout, "old");
    manifest(&workspace, "create app", &fill(&registry, Kind::Oci)).ok();
    let drafted = manifest(&workspace, "inspect --raw app", &[]).ok().to_owned();

    for _ in 0..2 {
        assert_eq!(manifest(&workspace, "push app oci:layout:1.0", &[]).ok().trim_end(), sha256(&drafted));
    }
    let named = |name: &str| format!("oci:{}:{name}", layout.display());
    assert_eq!(skopeo_raw(&named("1.0")), drafted);
    assert_eq!(skopeo_raw(&named("old")).as_bytes(), old.manifest());
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2, "{index}");

    // Everything that the list names came along: it can be copied from here.
    drop(registry);
    let copy = format!("dir:{}/copy", workspace.path().display());
    Tool::new("skopeo").run(["copy", "--all", &named("1.0"), &copy]).ok();
    for image in images(Kind::Oci) {
        assert!(workspace.path().join("copy").join(image.blobs()[0].digest.hex()).is_file());
    }
}
