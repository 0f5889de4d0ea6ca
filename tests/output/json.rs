//! The objects of `--output json` are those that `docs/json.md` describes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use manifest_testkit::{Attachment, FakeRegistry, Image, Index, Method, Tar};
use serde_json::{Value, json};

use crate::in_process::Cli;

/// A member in a table of the document.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    kind: String,
    /// The section that describes the value, or its elements.
    shape: Option<String>,
    optional: bool,
}

/// The sections of the document by name: their members, and their example.
#[derive(Debug, Default)]
struct Documented {
    members: BTreeMap<String, Vec<Member>>,
    examples: BTreeMap<String, Value>,
}

fn documented() -> Documented {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let text = fs::read_to_string(path).unwrap();
    let mut documented = Documented::default();
    for section in text.split("\n## ").skip(1) {
        let (title, body) = section.split_once('\n').unwrap();
        let title = title.trim_matches('`').to_owned();
        let rows = body.lines().filter_map(member);
        documented.members.insert(title.clone(), rows.collect());
        if let Some((_, example)) = body.split_once("```json\n") {
            let example = example.split("```").next().unwrap();
            let example = serde_json::from_str(example).unwrap_or_else(|e| panic!("{title}: {e}\n{example}"));
            documented.examples.insert(title, example);
        }
    }
    documented
}

/// Reads ``| `name` | kind, optional | meaning |``; `…` for a name takes in the members of another section.
fn member(row: &str) -> Option<Member> {
    let mut cells = row.strip_prefix('|')?.split('|').map(str::trim);
    let (name, kind) = (cells.next()?, cells.next()?);
    let name = if name == "…" { name } else { name.strip_prefix('`')?.strip_suffix('`')? };
    let shape =
        kind.split_once("(#").and_then(|(_, rest)| rest.split_once(')')).map(|(shape, _)| shape.to_owned());
    let optional = kind.ends_with(", optional");
    Some(Member { name: name.to_owned(), kind: kind.to_owned(), shape, optional })
}

impl Documented {
    /// The members of a section with those that it takes in, each with the section where it stands.
    fn of(&self, section: &str) -> Vec<(String, Member)> {
        let own =
            self.members.get(section).unwrap_or_else(|| panic!("docs/json.md has no section {section}"));
        let one = |member: &Member| match (&*member.name, &member.shape) {
            ("…", Some(shape)) => self.of(shape),
            _ => vec![(section.to_owned(), member.clone())],
        };
        own.iter().flat_map(one).collect()
    }

    /// Checks an object against a section, and notes which members were seen.
    fn check(&self, section: &str, value: &Value, seen: &mut BTreeSet<(String, String)>) {
        let members = self.of(section);
        let object = value.as_object().unwrap_or_else(|| panic!("{section} is no object: {value}"));
        for name in object.keys() {
            let known = members.iter().any(|(_, member)| member.name == *name);
            assert!(known, "docs/json.md does not describe {name} of {section}: {value}");
        }
        for (stands_in, member) in members {
            let Some(found) = object.get(&member.name) else {
                assert!(member.optional, "{} of {section} is missing: {value}", member.name);
                continue;
            };
            seen.insert((stands_in, member.name.clone()));
            let kind = member.kind.trim_end_matches(", optional");
            let fits = match (kind, &member.shape) {
                ("text", _) => found.is_string(),
                ("text or null", _) => found.is_string() || found.is_null(),
                ("number", _) => found.is_u64(),
                ("any JSON", _) => true,
                ("true or false", _) => found.is_boolean(),
                ("map of text", _) => found.as_object().is_some_and(|map| map.values().all(Value::is_string)),
                ("array of text", _) => found.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
                (kind, Some(shape)) if kind.starts_with("array of ") => {
                    let all = found.as_array().unwrap();
                    all.iter().for_each(|one| self.check(shape, one, seen));
                    true
                }
                (_, Some(shape)) => {
                    self.check(shape, found, seen);
                    true
                }
                _ => panic!("{section}: what is {kind}?"),
            };
            assert!(fits, "{} of {section} is not {kind}: {found}", member.name);
        }
    }
}

/// The objects of the examples, one a schema, in the order of the document.
fn examples(cli: &Cli) -> Vec<Value> {
    let (amd64, arm64) = (cli.image("linux/amd64"), cli.image("linux/arm64/v8"));
    let layout = cli.workspace.path().join("out");
    let bundle = cli.workspace.path().join("bundle");
    vec![
        cli.json(&format!("create app:1.0 {amd64} --annotation org.opencontainers.image.version=1.0")),
        cli.json(&format!("add app:1.0 {arm64}")),
        cli.json("annotate app:1.0 --platform linux/arm64 --annotation org.example.board=rpi5"),
        cli.json("inspect app:1.0"),
        cli.json(&format!("inspect {amd64}")),
        cli.json(&format!("inspect --layers {amd64}")),
        cli.json(&format!(
            "attest --predicate {} --type spdx {amd64}",
            cli.workspace.write("sbom.json", "{}").display()
        )),
        cli.json("check app:1.0"),
        said(cli, &format!("diff {amd64} {arm64}")),
        cli.json(&format!("push --dry-run app:1.0 oci:{}:1.0", layout.display())),
        cli.json("remove app:1.0 --platform linux/arm64"),
        cli.json("tag app:1.0 registry.example.com/app:1.0"),
        cli.json("ls"),
        cli.json("exists app:1.0"),
        cli.json("cp app:1.0 app:1.1"),
        cli.json("rename app:1.1 web:1.0"),
        cli.json("hold web:1.0 --by release-42 --ttl 12h"),
        cli.json("release web:1.0 --by release-42"),
        cli.json("history web:1.0"),
        cli.json("undo app:1.0"),
        cli.json("untag registry.example.com/app:1.0"),
        cli.json("rm app:1.0"),
        cli.json("prune --history web:1.0"),
        cli.json(&format!("export web:1.0 --oci-dir {}", bundle.display())),
        cli.json(&format!("import tool:1.0 --image linux-amd64 {}", cli.layout().display())),
        cli.json("gc --dry-run"),
        cli.json("fsck"),
        cli.json("df"),
        cli.json("key public ../manifest-sign/tests/fixtures/sigstore/ecdsa.pub"),
        cli.json("version"),
    ]
}

/// The object of a command that says no.
fn said(cli: &Cli, line: &str) -> Value {
    let ran = cli.run(&format!("{line} --output json"));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

/// A check that finds programs for another machine, and a difference of everything that there is.
fn truth(cli: &Cli) -> Vec<Value> {
    let mut elf = vec![0; 64];
    elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    (elf[16], elf[18]) = (2, 62);
    let wrong = Image::new("linux/arm64").files(Tar::new().program("bin/app", elf));
    let script = Image::new("linux/amd64").layer("text");
    let one = cli.put_index(&Index::of(&[&wrong, &script]).annotation("a", "1"), "one");
    let other = Image::new("linux/arm64").annotation("a", "b").run_as(json!({"User": "app"}));
    let other =
        cli.put_index(&Index::of(&[&other, &Image::new("linux/s390x")]).annotation("a", "2"), "other");
    vec![said(cli, &format!("check --deep {one}")), said(cli, &format!("diff {one} {other}"))]
}

/// Objects with all that is optional.
fn rich(cli: &Cli) -> Vec<Value> {
    let registry = FakeRegistry::start();
    let artifact = cli.put(&Image::new("linux/amd64").artifact_type("application/x"), "artifact");
    let windows = cli.put(&Image::new("windows/amd64").os_version("10.0.1"), "windows");
    let docker = cli.put(&Image::new("linux/amd64").docker(), "docker");
    let entry = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": windows.digest, "size": 300,
        "urls": ["https://example.com/x"], "platform": {"os": "windows", "architecture": "amd64"},
    });
    let document = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry],
    });
    let urls = cli.put_document(&document, "urls");
    cli.ok(&format!("create rich --subject {artifact} --artifact-type application/x {artifact} {windows}"));
    cli.ok("annotate rich --platform windows/amd64 --os-features win32k");
    cli.ok(&format!("create features {docker}"));
    cli.ok("annotate features --platform linux/amd64 --features sse4");
    cli.ok(&format!("create urls --from {urls}"));
    cli.ok("create list");
    let index = Index::of(&[&Image::new("linux/amd64")]);
    index.push_to(&registry, "app", "1");
    cli.ok(&format!("create pushed {}/app:1", registry.address()));
    let moving = Image::new("linux/s390x").push_to(&registry, "moving", "1");
    cli.ok(&format!("create moving {}/moving:1", registry.address()));
    cli.ok(&format!("add moving {}/moving@{moving}", registry.address()));
    Image::new("linux/s390x").layer("newer").push_to(&registry, "moving", "1");
    cli.keep("image", &Image::new("linux/arm64"));
    cli.import("used", "linux/arm64");
    cli.ok("create user store:used");
    cli.ok("annotate --index user --annotation a=b");
    cli.ok("undo user");
    cli.ok("hold user --by ci --ttl 1h");
    let layer = layer(cli);
    let (mut pushes, listed) = (cut_off(cli, &registry), cli.json("publications"));
    pushes.push(listed);
    pushes.push(cli.json(&format!("publications rm {}", pushes[1]["id"].as_str().unwrap())));
    cli.workspace.write("run/containers/auth.json", r#"{"auths": {"quay.io": {"auth": "YTpi"}}}"#);
    let mut objects = truth(cli);
    objects.extend([
        cli.json("login --get-login quay.io"),
        cli.json("logout quay.io"),
        cli.json(&format!(
            "key generate --type openpgp --user-id ann --expires 2y --no-passphrase --output-prefix {}",
            cli.workspace.path().join("ann").display()
        )),
        cli.json("key public ../manifest-sign/tests/fixtures/openpgp/revoked.asc"),
        fsck_with_finding(cli),
        cli.json(&format!("blob path {layer}")),
        cli.json(&format!("blob variants {layer}")),
        cli.json("inspect image --holders --sources"),
        cli.json("inspect used --holders"),
        cli.json("inspect user --sources --holders"),
        cli.json("history user"),
        cli.json("rm --force user"),
        cli.json("inspect rich"),
        cli.json("inspect features"),
        cli.json("inspect urls"),
        cli.json(&format!("inspect docker://{}/app:1", registry.address())),
        cli.json("annotate --index list --annotation a=b"),
        cli.json(&format!("add list --replace {docker}")),
        cli.json(&format!("push pushed {}/copy:1 --check-executables", registry.address())),
        cli.json(&format!("push pushed {}/copy:1", registry.address())),
        retried(cli, &registry),
        cli.json(&format!("push rich {}/copy:1 --on-conflict merge", registry.address())),
        cli.json(&format!(
            "push pushed {}/copy:1 --allow-shrink --best-effort oci:/dev/null/x",
            registry.address()
        )),
        cli.json(&format!("push pushed oci:{}:1 --format oci", cli.workspace.path().join("out").display())),
        cli.json("ls"),
        cli.json("refresh moving"),
        cli.json(&format!("add moving --allow-duplicate {}/moving@{moving}", registry.address())),
        cli.json("cache ls"),
        cli.json(&format!("cache show {}/app:1", registry.address())),
        cli.json(&format!("cache rm {}/app:1", registry.address())),
    ]);
    objects.extend(pushes);
    objects.extend(attached(cli));
    objects.extend(attestations(cli));
    objects.extend(signed(cli));
    objects.extend(verified(cli));
    objects
}

/// What goes along with a list, and what a registry can do that leaves something behind.
fn attached(cli: &Cli) -> Vec<Value> {
    let (from, to) = (FakeRegistry::start(), FakeRegistry::start());
    let image = Image::new("linux/amd64");
    let digest = image.push_to(&from, "app", "1");
    let size = image.manifest().len() as u64;
    let subject = manifest_core::Descriptor::new(image.media_type(), digest, size);
    from.serve_referrers();
    Attachment::referrer(&subject, "text/note", "a note").push_to(&from, "app", None);
    let tag = format!("sha256-{}.sig", digest.hex());
    Attachment::signatures(&[("payload", "signed")]).push_to(&from, "app", Some(&tag));
    cli.ok(&format!("create signed {}/app:1", from.address()));
    let push = format!("push signed docker://{}/app:1 --with referrers,signatures", to.address());
    to.chunk_min_length(1);
    to.keep_manifests();
    vec![
        cli.json(&format!("{push} --dry-run")),
        cli.json(&push),
        cli.json(&format!("registry probe {}/app", to.address())),
    ]
}

/// A key without a passphrase.
const KEY: &str = "--sign-key ../manifest-sign/tests/fixtures/sigstore/ed25519.pem";

/// What is signed, and no longer.
fn signed(cli: &Cli) -> Vec<Value> {
    let registry = FakeRegistry::start();
    Index::of(&[&Image::new("linux/amd64")]).push_to(&registry, "signed", "1");
    cli.ok(&format!("create to-sign docker://{}/signed:1", registry.address()));
    let target = format!("docker://{}/signed:2", registry.address());
    let mut objects = vec![
        cli.json(&format!("push to-sign {target} {KEY} --dry-run")),
        cli.json(&format!("push to-sign {target} {KEY}")),
        cli.json(&format!("sign {target} {KEY} --platform linux/amd64")),
    ];
    registry.keep_tags();
    registry.keep_manifests();
    let kept = cli.run(&format!("sign --remove-signatures {target} --output json"));
    assert_eq!(kept.code, Some(5), "{kept:?}");
    objects.push(serde_json::from_str(&kept.stdout).unwrap());
    objects
}

/// What is verified, what is not, and what there is.
fn verified(cli: &Cli) -> Vec<Value> {
    let registry = FakeRegistry::start();
    let image = Image::new("linux/amd64");
    Index::of(&[&image]).push_to(&registry, "signed", "1");
    cli.ok(&format!("create to-verify docker://{}/signed:1", registry.address()));
    let there = format!("docker://{}/signed:2", registry.address());
    let keys =
        "--sign-key ../manifest-sign/tests/fixtures/sigstore/ecdsa.pem --signature-format cosign,bundle";
    cli.ok(&format!("push to-verify {there} {KEY} {keys}"));
    let verify = format!("verify {there} --key ../manifest-sign/tests/fixtures/sigstore/ed25519.pub");
    let mut objects = vec![cli.json(&verify)];
    let tag = format!("sha256-{}.sig", image.digest().hex());
    Attachment::signatures(&[("payload", "x")]).push_to(&registry, "signed", Some(&tag));
    let refused = cli.run(&format!("{verify} --identity exact --output json"));
    assert_eq!(refused.code, Some(10), "{refused:?}");
    objects
        .extend([serde_json::from_str(&refused.stdout).unwrap(), cli.json(&format!("signatures {there}"))]);
    objects
}

/// Statements about a list and an image in it, with keys and without, good and not.
fn attestations(cli: &Cli) -> Vec<Value> {
    let registry = FakeRegistry::start();
    let image = Image::new("linux/amd64");
    Index::of(&[&image]).push_to(&registry, "app", "1");
    let to = format!("docker://{}/app", registry.address());
    let prefix = cli.workspace.path().join("attests");
    cli.ok(&format!("key generate --no-passphrase --output-prefix {}", prefix.display()));
    let file = cli.workspace.write("predicate.json", "{}").display().to_string();
    let sign = format!("attest --predicate {file} --type spdx --sign-key {}.key", prefix.display());
    let size = image.manifest().len() as u64;
    let subject = manifest_core::Descriptor::new(image.media_type(), image.digest(), size);
    let bad = Attachment::referrer(&subject, "application/vnd.in-toto+json", "no statement");
    bad.push_to(&registry, "app", None);
    let tag = manifest_core::Tag::of_referrers(&image.digest()).to_string();
    let entry = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": bad.digest(), "size": 2,
        "artifactType": "application/vnd.in-toto+json",
    });
    let index = "application/vnd.oci.image.index.v1+json";
    let noted = json!({ "schemaVersion": 2, "mediaType": index, "manifests": [entry] });
    registry.put_manifest("app", &tag, index, noted.to_string());
    let tag = format!("sha256-{}.att", image.digest().hex());
    Attachment::signatures(&[("payload", "x")]).push_to(&registry, "app", Some(&tag));
    let attested = cli.json(&format!("{sign} --each {to}:1"));
    let inspect = format!("inspect --attestations --key {}.pub {to}", prefix.display());
    vec![attested, cli.json(&format!("{inspect}:1")), cli.json(&format!("{inspect}@{}", image.digest()))]
}

/// A push of which a request is sent again.
fn retried(cli: &Cli, registry: &FakeRegistry) -> Value {
    registry.on(Method::Put, "/v2/copy/manifests/2").reply(503);
    cli.json(&format!("push pushed {}/copy:2 --retry-delay 1ms", registry.address()))
}

/// Events of every kind.
fn events(cli: &Cli) -> Vec<Value> {
    let registry = FakeRegistry::start();
    cli.ok(&format!("create eventful {}", cli.image("linux/mips64le")));
    let list = cli.json("inspect eventful")["document"]["digest"].as_str().unwrap().to_owned();
    registry.on(Method::Get, &format!("/v2/app/manifests/{list}")).reply(404);
    registry.on(Method::Put, "/v2/app/manifests/sha256:*").reply(503);
    registry.on(Method::Put, "/v2/app/manifests/refused").always().reply(403);
    let push = |tags| {
        let to = format!("docker://{}/app:{tags}", registry.address());
        cli.run(&format!("push eventful {to} {KEY} --retry-delay 1ms --progress json")).stderr
    };
    let told = push("1,2") + &push("refused");
    let objects = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    objects.filter(|object| object.get("event").is_some()).collect()
}

/// A push with a target that fails, and one that is taken back: as if it had been cut off before its end.
fn cut_off(cli: &Cli, registry: &FakeRegistry) -> Vec<Value> {
    let host = registry.address();
    registry.on(Method::Get, "/v2/none/manifests/1").always().reply(403);
    let pushed = cli.json(&format!("push pushed docker://{host}/a:1,2 --best-effort docker://{host}/none:1"));
    let id = cli.json("publications")["publications"][0]["id"].as_str().unwrap().to_owned();
    let file = cli.workspace.store().join("publications").join(id);
    let text = fs::read_to_string(&file).unwrap();
    let line = text.split_once('\n').unwrap().1.replace("\"done\"", "\"tags\"");
    let digest = manifest_core::Digest::sha256(line.as_bytes());
    fs::write(&file, format!("manifest-publication 1 {digest}\n{line}")).unwrap();
    registry.on(Method::Delete, "/v2/a/manifests/*").always().reply(405);
    vec![pushed, cli.json("push --abort pushed")]
}

/// What interrupted commands left behind is found.
fn fsck_with_finding(cli: &Cli) -> Value {
    let intakes = cli.workspace.store().join("intakes");
    fs::create_dir_all(&intakes).unwrap();
    fs::write(intakes.join("0".repeat(32)), "").unwrap();
    cli.json("fsck")
}

/// The digest of a layer that the store holds.
fn layer(cli: &Cli) -> String {
    cli.put(&Image::new("linux/riscv64").layer("layer"), "layered");
    cli.ok(&format!("import layered --image layered {}", cli.layout().display()));
    let manifest = cli.ok("inspect --raw layered");
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
}

/// Replaces what differs from run to run: ids, times, digests, sizes and directories.
fn usual(value: &Value) -> Value {
    let text = |text: &str| {
        let text = text.rsplit_once('/').filter(|_| text.starts_with("oci:")).map_or(text, |(_, name)| name);
        let is_hex = text.len() > 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let is_time = text.ends_with('Z') && text.contains('T');
        match text {
            _ if text.starts_with("sha256:") => "digest".to_owned(),
            _ if is_hex || text.ends_with('…') => "id".to_owned(),
            _ if is_time => "time".to_owned(),
            _ => text.replace(|c: char| c.is_ascii_hexdigit() && !c.is_ascii_alphabetic(), "0"),
        }
    };
    match value {
        Value::String(string) => json!(text(string)),
        Value::Number(_) => json!(0),
        Value::Array(all) => all.iter().map(usual).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), usual(value))).collect(),
        other => other.clone(),
    }
}

fn schema(object: &Value) -> String {
    object["schema"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_printed_is_described_and_what_is_described_is_printed() {
    let documented = documented();
    let (cli, other) = (Cli::new(), Cli::new());
    let mut seen = BTreeSet::new();
    for object in examples(&cli).iter().chain(&rich(&other)) {
        documented.check(&schema(object), object, &mut seen);
    }
    let error: Value = serde_json::from_str(&cli.run("inspect Gone --output json").stderr).unwrap();
    documented.check("errors", &error, &mut seen);
    let note: Value = serde_json::from_str(
        cli.run(&format!("create x {} --output json", cli.image("linux/s390x"))).stderr.trim(),
    )
    .unwrap();
    documented.check("notes", &note, &mut seen);
    for event in events(&cli) {
        documented.check(event["event"].as_str().unwrap(), &event, &mut seen);
    }
    for (section, members) in documented.members.iter().filter(|(section, _)| *section != "kinds of errors") {
        for member in members.iter().filter(|member| member.name != "…") {
            let it = (section.clone(), member.name.clone());
            assert!(seen.contains(&it), "docs/json.md describes {} of {section}, never printed", member.name);
        }
    }
}

#[test]
fn the_examples_are_what_the_program_prints() {
    let documented = documented();
    let cli = Cli::new();
    for object in examples(&cli) {
        let schema = schema(&object);
        let example = documented.examples.get(&schema).unwrap_or_else(|| panic!("no example of {schema}"));
        assert_eq!(usual(example), usual(&object), "{schema}:\n{object:#}");
    }
}

#[test]
fn every_kind_of_error_is_described_with_its_exit_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("src/error/meaning.rs")).unwrap();
    let text = fs::read_to_string(root.join("../../docs/json.md")).unwrap();
    let section = text.split_once("\n## kinds of errors\n").unwrap().1.split("\n## ").next().unwrap();
    let mut described = BTreeMap::new();
    for row in section.lines().filter_map(|row| row.strip_prefix("| `")) {
        let (kind, rest) = row.split_once("` | ").unwrap();
        let codes: Vec<String> =
            rest.split('|').next().unwrap().split(" or ").map(|c| c.trim().to_owned()).collect();
        described.insert(kind.to_owned(), codes);
    }
    let mut made: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for call in source.split("meaning(\"").skip(1) {
        let (kind, rest) = call.split_once("\", ").unwrap();
        let code: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let codes = made.entry(kind.to_owned()).or_default();
        codes.extend((!codes.contains(&code)).then_some(code));
        codes.sort();
    }
    made.remove("closed_pipe");
    assert_eq!(described, made);
}
