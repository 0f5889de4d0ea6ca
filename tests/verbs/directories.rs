//! `dir:DIRECTORY` as a source and as a target of every verb that takes images.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Index, Method, Running};

use crate::in_process::Cli;

const KEY: &str = "--sign-key ../manifest-sign/tests/fixtures/sigstore/ed25519.pem";
const IDENTITY: &str = "--sign-identity example.com/app:1";

fn images() -> [Image; 2] {
    [Image::new("linux/amd64").layer("one"), Image::new("linux/arm64").layer("two")]
}

fn index() -> Index {
    let [one, two] = &images();
    Index::of(&[one, two])
}

/// A list `app` in the store; its digest.
fn app(cli: &Cli) -> Digest {
    cli.ok(&format!("create app --all {}", cli.put_index(&index(), "app")));
    cli.json("inspect app")["document"]["digest"].as_str().unwrap().parse().unwrap()
}

fn out(cli: &Cli) -> PathBuf {
    cli.workspace.path().join("out")
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeMap::new() };
    let file =
        |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
    let files = entries.map(|entry| file(entry.unwrap().path()));
    files.filter(|(name, _)| name != ".manifest.lock").collect()
}

#[test]
fn what_was_pushed_is_the_same_list_for_every_verb_that_reads() {
    let cli = Cli::new();
    let (digest, target) = (app(&cli), format!("dir:{}", out(&cli).display()));
    assert_eq!(cli.ok(&format!("push app {target}")).trim_end(), digest.to_string());
    let written = files(&out(&cli));
    assert_eq!(written["version"], b"Directory Transport Version: 1.1\n");
    assert_eq!(Digest::sha256(&written["manifest.json"]), digest);
    for image in images() {
        assert_eq!(written[&format!("{}.manifest.json", image.digest().hex())], image.manifest());
        for blob in image.blobs() {
            assert_eq!(written[&blob.digest.hex()], blob.bytes);
        }
    }
    let blobs: usize = images().iter().map(|image| image.blobs().len()).sum();
    assert_eq!(written.len(), 2 + 2 + blobs);

    let inspected = cli.json(&format!("inspect {target}"));
    assert_eq!(
        (&inspected["origin"], &inspected["document"]["digest"]),
        (&target.clone().into(), &digest.to_string().into())
    );
    cli.ok(&format!("check {target}"));
    cli.ok(&format!("diff app {target}"));
    cli.ok(&format!("create again --all {target}"));
    assert_eq!(cli.document("again"), cli.document("app"));
    cli.ok(&format!("create one {target}@{}", images()[1].digest()));
    assert_eq!(cli.platforms("one"), ["linux/arm64"]);
    cli.ok(&format!("create arm --platform linux/amd64 {target}"));
    assert_eq!(cli.json("inspect arm --sources")["sources"][0]["place"], target);
    cli.ok(&format!("import taken {target}"));
    assert_eq!(cli.json("inspect taken")["document"]["digest"], digest.to_string());
    cli.ok("refresh again");

    // What lies there comes from there.
    fs::remove_dir_all(cli.layout()).unwrap();
    cli.ok(&format!("push again oci:{}:1", cli.workspace.path().join("layout").display()));
    let again = cli.json(&format!("push again {target}"));
    assert_eq!(again["targets"][0]["blobs"].as_array().unwrap().len(), 1, "{again}");
    assert_eq!(again["targets"][0]["blobs"][0]["action"], "skip", "{again}");
    assert_eq!(files(&out(&cli)), written);
}

#[test]
fn another_push_keeps_what_was_there_and_a_directory_of_others_is_refused() {
    let cli = Cli::new();
    let (digest, target) = (app(&cli), format!("dir:{}", out(&cli).display()));
    cli.ok(&format!("push app {target}"));
    cli.ok(&format!("create other {}", cli.put(&Image::new("linux/s390x").layer("three"), "three")));
    cli.ok(&format!("push other {target}"));
    assert_eq!(cli.platforms("other"), ["linux/s390x"]);
    cli.ok(&format!("check {target}"));
    cli.ok(&format!("check {target}@{digest}"));

    let mine = cli.workspace.path().join("mine");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("notes"), "mine").unwrap();
    for line in
        ["push app dir:", "push --dry-run app dir:", "export app --dir ", "export app --replace --dir "]
    {
        let failed = cli.fails(
            if line.contains("export app --dir") { 4 } else { 7 },
            &format!("{line}{}", mine.display()),
        );
        assert!(failed.text.contains(&mine.display().to_string()), "{}", failed.text);
    }
    assert_eq!(files(&mine).keys().collect::<Vec<_>>(), ["notes"]);
    cli.fails(3, &format!("inspect dir:{}/nothing", mine.display())).says("layout_not_found", &["nothing"]);
}

#[test]
fn an_export_is_what_a_push_writes_and_takes_the_place_of_one_when_told() {
    let cli = Cli::new();
    let (_, dir) = (app(&cli), cli.workspace.path().join("exported"));
    cli.ok(&format!("push app dir:{}", out(&cli).display()));
    let report = cli.json(&format!("export app --dir {}", dir.display()));
    assert_eq!(report["target"], format!("dir:{}", dir.display()));
    assert!(report["exported"][0].get("name").is_none(), "{report}");
    assert_eq!(files(&dir), files(&out(&cli)));
    cli.ok(&format!("create other {}", cli.image("linux/s390x")));
    cli.fails(4, &format!("export other --dir {}", dir.display())).says("exists", &["--replace"]);
    cli.ok(&format!("export other --dir {} --replace", dir.display()));
    assert!(!files(&dir).contains_key(&images()[0].digest().hex()));
    cli.ok(&format!("check dir:{}", dir.display()));
    cli.fails(2, &format!("export app other --dir {}", dir.display())).says("misuse", &["--oci-dir"]);
    cli.fails(2, &format!("export app --append --dir {}", dir.display()));
}

#[test]
fn a_directory_is_shown_when_all_tags_have_moved_and_not_before() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let digest = app(&cli);
    let (target, tag) =
        (format!("dir:{}", out(&cli).display()), format!("docker://{}/app:1", registry.address()));
    registry.on(Method::Put, "/v2/app/manifests/1").always().reply(403);
    assert_ne!(cli.run(&format!("push --retry 0 app {target} {tag}")).code, Some(0));
    assert!(!out(&cli).join("manifest.json").exists());
    registry.clear_rules();
    cli.ok(&format!("push app {target} {tag}"));
    assert_eq!(Digest::sha256(&fs::read(out(&cli).join("manifest.json")).unwrap()), digest);
}

/// Kills a push when its tag is to be set, which is never answered.
fn cut(cli: &Cli, registry: &FakeRegistry, words: &str) {
    let rule = registry.on(Method::Put, "/v2/app/manifests/1").always().stall();
    let mut running: Running = cli.workspace.start(env!("CARGO_BIN_EXE_manifest"), words.split_whitespace());
    while rule.hits() == 0 {
        assert!(!running.has_ended(), "{words}: {:?}", running.wait());
        std::thread::yield_now();
    }
    drop(running);
    registry.clear_rules();
}

#[test]
fn a_push_that_was_killed_is_ended_by_another_or_taken_back() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let (digest, image) = (app(&cli), out(&cli).join("manifest.json"));
    let words = format!("push app dir:{} docker://{}/app:1", out(&cli).display(), registry.address());
    cut(&cli, &registry, &words);
    assert!(!image.exists());
    cli.ok("push --resume app");
    assert_eq!(Digest::sha256(&fs::read(&image).unwrap()), digest);

    cli.ok(&format!("create other {}", cli.put(&Image::new("linux/s390x").layer("three"), "three")));
    cut(&cli, &registry, &words.replace("push app", "push --allow-shrink other"));
    cli.ok("push --abort other");
    assert_eq!(Digest::sha256(&fs::read(&image).unwrap()), digest);
    cli.ok(&format!("check dir:{}", out(&cli).display()));
}

#[test]
fn signatures_of_sigstore_lie_beside_the_images_and_go_along() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    app(&cli);
    let target = format!("dir:{}", out(&cli).display());
    cli.fails(2, &format!("push app {target} {KEY}")).says("cannot_hold", &["--sign-identity"]);
    assert!(files(&out(&cli)).is_empty(), "nothing was sent");
    cli.ok(&format!("push app {target} {KEY} {IDENTITY}"));
    let signed = files(&out(&cli));
    assert!(signed["signature-1"].starts_with(b"\0sigstore-json\n{"));
    for image in images() {
        assert!(signed.contains_key(&format!("{}.signature-1", image.digest().hex())));
    }
    cli.ok(&format!("push app {target} {KEY} {IDENTITY}"));
    cli.ok(&format!("sign {target} {KEY} {IDENTITY}"));
    assert_eq!(files(&out(&cli)), signed, "nothing is signed twice");
    cli.ok(&format!("sign {target} {KEY} {IDENTITY} --signature-format bundle"));
    let listed = cli.ok(&format!("signatures {target}"));
    assert_eq!((listed.matches(" cosign ").count(), listed.matches(" bundle ").count()), (3, 3), "{listed}");
    let public = cli.workspace.path().join("key.pub");
    let key = KEY.trim_start_matches("--sign-key ");
    fs::write(&public, cli.ok(&format!("key public {key}"))).unwrap();
    cli.ok(&format!(
        "verify --key {} --require-signed both --identity example.com/app:1 {target}",
        public.display()
    ));
    cli.run(&format!("verify --key {} --identity example.com/app:2 {target}", public.display())).fails(10);
    cli.ok(&format!("sign {target} --remove-signatures"));
    assert!(!cli.ok(&format!("signatures {target}")).contains("bundle"));
    cli.run(&format!("verify --key {} --identity any {target}", public.display())).fails(10);

    // What cosign attached in a registry becomes files.
    let there = format!("docker://{}/app:1", registry.address());
    cli.ok(&format!("push app {there} {KEY}"));
    cli.ok(&format!("create copy --all {there}"));
    cli.ok(&format!("push copy {target} --with referrers,signatures"));
    let identity = format!("{}/app:1", registry.address());
    cli.ok(&format!(
        "verify --key {} --identity {identity} --require-signed both {target}",
        public.display()
    ));
    assert!(files(&out(&cli))["signature-1"].starts_with(b"\0sigstore-json\n"));
}
