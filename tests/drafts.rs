//! Where a draft comes from: a published list, a list that is there already, another draft; and looking at lists elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise ends a test by a panic"
)]

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Index, Method, Ran, Tool, Workspace};
use serde_json::Value;

const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A workspace beside a registry whose repository `app` holds an image of two platforms and one list.
struct Place {
    workspace: Workspace,
    registry: FakeRegistry,
}

impl Place {
    fn new() -> Self {
        let place = Self { workspace: Workspace::new(), registry: FakeRegistry::start() };
        let (amd64, arm64) = (Image::new("linux/amd64"), Image::new("linux/arm64"));
        amd64.push_to(&place.registry, "app", "amd64");
        arm64.push_to(&place.registry, "app", "arm64");
        Image::new("linux/arm64").layer("newer").push_to(&place.registry, "app", "arm64-newer");
        Image::new("linux/s390x").push_to(&place.registry, "app", "s390x");
        Index::of(&[&amd64, &arm64]).annotation("a", "1").push_to(&place.registry, "app", "list");
        place
    }

    /// A reference in the repository.
    fn to(&self, tag: &str) -> String {
        format!("docker://{}/app:{tag}", self.registry.address())
    }

    /// Runs our program; a word such as `@arm64` stands for a reference in the repository.
    fn run(&self, words: &str) -> Ran {
        let word = |word: &str| match word.strip_prefix('@') {
            Some(tag) => self.to(tag),
            None => word.to_owned(),
        };
        self.workspace.run(MANIFEST, words.split(' ').map(word))
    }

    fn raw(&self, list: &str) -> String {
        self.run(&format!("inspect --raw {list}")).ok().to_owned()
    }

    fn id(&self, list: &str) -> String {
        let report: Value =
            serde_json::from_str(self.run(&format!("inspect --output json {list}")).ok()).unwrap();
        report["list"]["id"].as_str().unwrap().to_owned()
    }

    /// The architectures of a list's entries, in order.
    fn architectures(&self, list: &str) -> Vec<String> {
        let list: Value = serde_json::from_str(&self.raw(list)).unwrap();
        let entries = list["manifests"].as_array().unwrap().iter();
        entries.map(|entry| entry["platform"]["architecture"].as_str().unwrap().to_owned()).collect()
    }

    /// Publishes a list as no program of the field would write it.
    fn publish_odd(&self, tag: &str) -> String {
        let image = Image::new("linux/amd64");
        let (digest, size) = (image.digest(), image.manifest().len());
        let text = format!(
            "{{\n  \"annotations\": {{\"z\": \"1\", \"a\": \"<2>\"}},\n  \"org.example.extra\": [1.50, null],\n  \
             \"mediaType\": \"{OCI_INDEX}\",\n  \"schemaVersion\": 2,\n  \"manifests\": [{{\"size\": {size}, \
             \"x\": {{}}, \"mediaType\": \"application/vnd.oci.image.manifest.v1+json\", \"digest\": \"{digest}\", \
             \"platform\": {{\"os\": \"linux\", \"architecture\": \"amd64\"}}}}]\n}}\n"
        );
        self.registry.put_manifest("app", tag, OCI_INDEX, text.clone());
        text
    }
}

fn sha256(text: &str) -> String {
    Digest::sha256(text.as_bytes()).to_string()
}

#[test]
fn a_published_list_is_kept_byte_for_byte() {
    let place = Place::new();
    let odd = place.publish_odd("odd");
    place.run("create copy --from @odd").ok();
    assert_eq!(place.raw("copy"), odd);
    let pushed = place.run("push copy @again");
    assert_eq!(pushed.ok().trim_end(), sha256(&odd));
    assert_eq!(place.registry.manifest("app", "again"), Some((OCI_INDEX.to_owned(), odd.into_bytes())));
}

#[test]
fn what_nobody_edited_survives_an_edit_of_a_published_list() {
    let place = Place::new();
    place.publish_odd("odd");
    place.run("create copy --from @odd @arm64").ok();
    let raw = place.raw("copy");
    let list: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(list["org.example.extra"][1], Value::Null);
    assert!(raw.contains("[1.50,"), "a number is written as it was found: {raw}");
    assert_eq!(list["annotations"]["a"], "<2>");
    assert_eq!(list["manifests"][0]["x"], serde_json::json!({}));
    assert_eq!(place.architectures("copy"), ["amd64", "arm64"]);
}

#[test]
fn a_single_image_is_nothing_to_start_a_list_from() {
    let place = Place::new();
    let said = place.run("create copy --from @amd64");
    assert!(said.fails(2).contains("single image"), "{said:?}");
    assert_eq!(place.run("create copy --from @nothing").code, Some(3));
    assert_eq!(place.run("exists copy").code, Some(1));
}

#[test]
fn a_name_that_is_taken_is_refused_before_anything_is_asked() {
    let place = Place::new();
    place.run("create list @amd64").ok();
    let (before, asked) = (place.raw("list"), place.registry.requests().len());
    for words in ["create list", "create list @arm64", "create --if-exists fail list @arm64"] {
        let said = place.run(words);
        assert!(said.fails(4).contains("hint: --if-exists amend"), "{said:?}");
    }
    assert_eq!(place.raw("list"), before);
    assert_eq!(place.registry.requests().len(), asked);
}

#[test]
fn amending_adds_and_takes_the_place_of_the_same_platform() {
    for amend in ["--amend", "--if-exists amend"] {
        let place = Place::new();
        place.run(&format!("create {amend} list @amd64 @arm64")).ok();
        let id = place.id("list");
        place.run(&format!("create {amend} list @arm64-newer @s390x")).ok();
        assert_eq!(place.architectures("list"), ["amd64", "arm64", "s390x"], "{amend}");
        assert_eq!(place.id("list"), id, "the list is edited, not made anew");
        let newer = place.registry.tag("app", "arm64-newer").unwrap().to_string();
        assert!(place.raw("list").contains(&newer));
    }
}

#[test]
fn replacing_takes_the_name_from_the_old_list() {
    for replace in ["--replace", "--if-exists replace"] {
        let place = Place::new();
        place.run(&format!("create {replace} list @amd64")).ok();
        let old = place.id("list");
        place.run("tag list other").ok();
        place.run(&format!("create {replace} list @s390x")).ok();
        assert_eq!(place.architectures("list"), ["s390x"], "{replace}");
        assert_ne!(place.id("list"), old);
        assert_eq!((place.architectures("other"), place.id("other")), (vec!["amd64".to_owned()], old));
    }
}

#[test]
fn ways_to_treat_a_taken_name_exclude_each_other() {
    let place = Place::new();
    for words in [
        "create --amend --replace x",
        "create --amend --if-exists fail x",
        "create --replace --if-exists amend x",
    ] {
        place.run(words).fails(2);
    }
    place.run("create list @amd64").ok();
    place.run("create --amend list --from @list").fails(2);
    assert_eq!(place.architectures("list"), ["amd64"]);
}

#[test]
fn entries_of_a_draft_can_be_added_and_pushed_from_where_they_are() {
    let place = Place::new();
    place.run("create one @amd64 @arm64").ok();
    place.run("create two store:one").fails(2);
    place.run("create --all two store:one").ok();
    place.run("create three --platform linux/arm64 store:one").ok();
    place.run("create four @s390x").ok();
    place.run("add four --all localhost/one").ok();
    assert_eq!(place.raw("two"), place.raw("one"));
    assert_eq!(place.architectures("three"), ["arm64"]);
    assert_eq!(place.architectures("four"), ["s390x", "amd64", "arm64"]);

    let other = FakeRegistry::start();
    let target = format!("docker://{}/elsewhere:1.0", other.address());
    place.run("rm one").ok();
    place.run(&format!("push four {target}")).ok();
    assert_eq!(other.manifest("elsewhere", "1.0").unwrap().1, place.raw("four").into_bytes());
    assert_eq!(place.run("add four store:gone").code, Some(3));
}

#[test]
fn a_list_of_another_list_needs_all_or_a_platform() {
    let place = Place::new();
    let said = place.run("create one @list");
    let said = said.fails(2);
    assert!(said.contains("linux/amd64") && said.contains("linux/arm64") && said.contains("--all"), "{said}");
    place.run("create one --all @list").ok();
    assert_eq!(place.architectures("one"), ["amd64", "arm64"]);
}

#[test]
fn lists_elsewhere_can_be_looked_at() {
    let place = Place::new();
    let odd = place.publish_odd("odd");
    assert_eq!(place.raw("@odd"), odd);
    let shown = place.run("inspect @odd");
    assert!(shown.ok().contains(&sha256(&odd)) && shown.ok().contains("linux/amd64"), "{shown:?}");
    let wrote = place.registry.requests().into_iter().filter(|request| !request.method.reads()).count();
    assert_eq!(wrote, 0);
    assert_eq!(place.run("inspect @nothing").code, Some(3));
    let image = place.registry.manifest("app", "amd64").unwrap().1;
    assert_eq!(place.raw("@amd64").into_bytes(), image);

    let layout = place.workspace.path().join("layout");
    let (one, two) = (Image::new("linux/amd64"), Image::new("linux/arm64"));
    Index::of(&[&one, &two]).write_layout(&layout, "v1");
    let skopeo = Tool::new("skopeo");
    let named = format!("oci:{}:v1", layout.display());
    assert_eq!(place.raw("oci:layout:v1"), skopeo.run(["inspect", "--raw", &named]).ok());
    assert!(place.run("inspect oci:layout:v1").ok().contains("linux/arm64"));
    assert_eq!(place.run("inspect oci:layout:v2").code, Some(3));
    assert_eq!(place.run("inspect list").code, Some(3), "a bare name is looked for in the store only");
}

#[test]
fn what_a_registry_sends_is_checked_against_its_digest() {
    let place = Place::new();
    let digest = place.registry.tag("app", "list").unwrap();
    place.registry.on(Method::Get, "/v2/app/manifests/*").always().wrong_bytes();
    let reference = format!("docker://{}/app@{digest}", place.registry.address());
    let said = place.run(&format!("inspect {reference}"));
    assert!(said.fails(7).contains(&digest.to_string()), "{said:?}");
}
