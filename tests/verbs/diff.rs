//! `manifest diff`: two lists, platform by platform.

use manifest_testkit::{DockerRegistry, FakeRegistry, Image, Index, Method};
use serde_json::{Value, json};

use crate::in_process::Cli;

/// A command that must find a difference; what it prints for people and for programs.
#[track_caller]
fn differ(cli: &Cli, line: &str) -> (String, Value) {
    let printed = |line: &str| {
        let ran = cli.run(line);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{ran:?}");
        ran.stdout
    };
    let json: Value = serde_json::from_str(&printed(&format!("{line} --output json"))).unwrap();
    assert_eq!((&json["schema"], &json["same"]), (&json!("diff/1"), &json!(false)));
    (printed(line), json)
}

fn first() -> Image {
    Image::new("linux/amd64").layer("base").layer("one").run_as(json!({
        "Env": ["PATH=/bin", "A=1"], "Cmd": ["app"], "Labels": {"version": "1"}, "User": "root",
    }))
}

fn second() -> Image {
    Image::new("linux/amd64").layer("base").layer("two").annotation("a", "b").run_as(json!({
        "Env": ["PATH=/bin", "A=2", "B=1"], "Cmd": ["app", "-v"], "Labels": {"version": "2"}, "Entrypoint": ["/init"],
    }))
}

/// What is left of a line when the digests are shortened.
fn lines(text: &str) -> Vec<String> {
    let word = |word: &str| if word.starts_with("sha256:") { "D".to_owned() } else { word.to_owned() };
    text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn two_lists_are_compared_platform_by_platform() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let (same, gone, new) =
        (Image::new("linux/arm64/v8"), Image::new("linux/s390x"), Image::new("linux/riscv64"));
    Index::of(&[&first(), &same, &gone]).annotation("v", "1").push_to(&registry, "app", "1");
    let put = cli.put_index(&Index::of(&[&new, &same, &second()]).annotation("v", "2"), "2");
    let remote = format!("docker://{}/app:1", registry.address());
    let (text, report) = differ(&cli, &format!("diff {remote} {put}"));
    let sizes = [first().manifest().len(), second().manifest().len()];
    let layer = |image: Image| image.blobs()[1].bytes.len() as f64 / 1000.0;
    let (one, two) = (layer(first()), layer(second()));
    assert_eq!(
        lines(&text),
        [
            r#"~ /annotations/v: "1" -> "2""#.to_owned(),
            "- linux/s390x D".to_owned(),
            "+ linux/riscv64 D".to_owned(),
            "~ linux/amd64 D -> D".to_owned(),
            format!("~ linux/amd64 entry /size: {} -> {}", sizes[0], sizes[1]),
            r#"+ linux/amd64 manifest /annotations/a: "b""#.to_owned(),
            r#"~ linux/amd64 config /config/Cmd: ["app"] -> ["app","-v"]"#.to_owned(),
            r#"+ linux/amd64 config /config/Entrypoint: ["/init"]"#.to_owned(),
            r#"~ linux/amd64 config /config/Env/1: "A=1" -> "A=2""#.to_owned(),
            r#"+ linux/amd64 config /config/Env/2: "B=1""#.to_owned(),
            r#"~ linux/amd64 config /config/Labels/version: "1" -> "2""#.to_owned(),
            r#"- linux/amd64 config /config/User: "root""#.to_owned(),
            format!("- linux/amd64 layer D {one:.1} kB"),
            format!("+ linux/amd64 layer D {two:.1} kB"),
            format!("= linux/amd64 1 layer, {:.1} kB", first().blobs()[0].bytes.len() as f64 / 1000.0),
        ],
        "{text}"
    );
    assert_eq!((&report["equal"], report["changed"].as_array().unwrap().len()), (&json!(1), 1));
    let changed = &report["changed"][0];
    assert_eq!(changed["layers"]["added"][0]["digest"], second().blobs()[1].digest.to_string());
    assert_eq!(changed["config"][2], json!({"path": "/config/Env/1", "old": "A=1", "new": "A=2"}));
    assert_eq!(report["onlyA"][0]["name"], "linux/s390x");
    assert_eq!(report["onlyB"][0]["digest"], new.digest().to_string());
    // The other way round it is the other way round.
    let (back, _) = differ(&cli, &format!("diff {put} {remote}"));
    assert!(back.contains("+ linux/s390x ") && back.contains(r#"/config/Env/1: "A=2" -> "A=1""#), "{back}");
}

#[test]
fn what_is_the_same_says_nothing_and_costs_no_more_than_the_lists() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let list = Index::of(&[&first(), &Image::new("linux/arm64")]);
    list.push_to(&registry, "app", "1");
    list.push_to(&registry, "copy", "1");
    cli.ok(&format!("create app --from {}/app:1", registry.address()));
    let remote = |name: &str| format!("docker://{}/{name}:1", registry.address());
    for (a, b) in [
        (remote("app"), remote("copy")),
        ("app".to_owned(), remote("app")),
        (remote("app"), "app".to_owned()),
    ] {
        registry.clear_requests();
        assert_eq!(cli.ok(&format!("diff {a} {b}")), "");
        assert!(registry.requests().len() <= 2, "{:?}", registry.requests());
        assert_eq!(cli.json(&format!("diff {a} {b}"))["equal"], 2);
    }
}

#[test]
fn a_draft_is_compared_with_what_is_published() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let list = Index::of(&[&first(), &Image::new("linux/arm64/v8")]);
    list.push_to(&registry, "app", "1");
    let remote = format!("docker://{}/app:1", registry.address());
    cli.ok(&format!("create app --from {remote}"));
    cli.ok("annotate app --platform linux/arm64 --annotation board=rpi5");
    let (text, _) = differ(&cli, &format!("diff {remote} app"));
    assert_eq!(text, "+ linux/arm64 entry /annotations/board: \"rpi5\"\n");
    cli.ok("annotate app --platform linux/arm64 --os linux --arch arm64 --variant v9");
    let (text, _) = differ(&cli, &format!("diff {remote} app"));
    assert!(text.contains("linux/arm64 entry /platform/variant: \"v8\" -> \"v9\""), "{text}");
    // Written in other words, it says the same.
    cli.ok(&format!("create other --from {remote}"));
    cli.put(&first(), "layout");
    let put = cli.put_document(&cli.document("other"), "sorted");
    let (text, _) = differ(&cli, &format!("diff other {put}"));
    assert_eq!(lines(&text), ["~ D -> D"]);
}

#[test]
fn in_brief_no_entry_is_read() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    Index::of(&[&first()]).push_to(&registry, "app", "1");
    Index::of(&[&second()]).push_to(&registry, "app", "2");
    registry.clear_requests();
    let at = |tag| format!("docker://{}/app:{tag}", registry.address());
    let ran = cli.run(&format!("diff --brief {} {}", at(1), at(2)));
    assert_eq!((ran.code, registry.requests().len()), (Some(1), 2), "{ran:?}");
    assert_eq!(lines(&ran.stdout)[0], "~ linux/amd64 D -> D");
}

#[test]
fn images_are_compared_whatever_they_are_for_and_stand_beside_lists() {
    let cli = Cli::new();
    let (one, other) = (cli.put(&first(), "one"), cli.put(&Image::new("linux/arm64").layer("base"), "other"));
    let (text, _) = differ(&cli, &format!("diff {one} {other}"));
    assert!(text.starts_with("~ image sha256:"), "{text}");
    assert!(text.contains("image config /architecture: \"amd64\" -> \"arm64\"\n"), "{text}");
    let list = cli.put_index(&Index::of(&[&first(), &Image::new("linux/arm64")]), "list");
    let (text, report) = differ(&cli, &format!("diff {one} {list}"));
    assert!(text.contains("+ linux/arm64 sha256:") && !text.contains("linux/amd64"), "{text}");
    assert_eq!(report["equal"], 1);
    cli.keep("kept", &Image::new("linux/s390x"));
    cli.fails(3, &format!("diff gone {one}")).says("list_not_found", &["gone"]);
    cli.fails(3, &format!("diff {one} {one}0")).says("image_not_found", &[]);
    cli.fails(2, &format!("diff {one}")).says("misuse", &["<B>"]);
}

#[test]
fn a_real_registry_is_read_like_any_other() {
    let (cli, registry) = (Cli::new(), DockerRegistry::plain());
    Index::of(&[&first(), &Image::new("linux/arm64")]).push_http(&registry.address(), "app", "1");
    Index::of(&[&second(), &Image::new("linux/arm64")]).push_http(&registry.address(), "app", "2");
    let at = |tag| format!("docker://{}/app:{tag}", registry.address());
    let (text, report) = differ(&cli, &format!("diff {} {}", at(1), at(2)));
    assert!(text.contains("~ linux/amd64 config /config/Env/1: \"A=1\" -> \"A=2\"\n"), "{text}");
    assert_eq!(report["equal"], 1);
    assert!(
        registry.requests().iter().all(|line| line.method != Method::Put || line.agent != "manifest"),
        "read only"
    );
}
