//! `manifest push`: whether the list tells the truth of its entries, judged before a byte is sent.

use manifest_testkit::{FakeRegistry, Image, Method, Tar};
use serde_json::{Value, json};

use crate::in_process::Cli;

/// The beginning of a 64-bit little-endian ELF program for amd64.
fn amd64_program() -> Vec<u8> {
    let mut elf = vec![0; 120];
    elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    (elf[16], elf[18]) = (2, 62);
    elf
}

/// What was sent to a registry, but for questions.
fn sent(registry: &FakeRegistry) -> usize {
    let asks = |method: &Method| *method == Method::Get || *method == Method::Head;
    registry.requests().iter().filter(|request| !asks(&request.method)).count()
}

fn truth(report: &Value) -> (u64, usize) {
    let configs = &report["truth"]["configs"];
    (configs["checked"].as_u64().unwrap(), configs["unchecked"].as_array().unwrap().len())
}

#[test]
fn a_list_that_says_of_an_image_what_its_configuration_contradicts_is_refused() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let to = format!("docker://{}/copy:1", registry.address());
    cli.ok(&format!("create app {} {}", cli.image("linux/amd64"), cli.image("linux/arm64")));
    cli.ok("annotate app --platform linux/arm64 --arch s390x");
    for mode in ["", "--check-config known", "--check-config all", "--dry-run"] {
        cli.fails(8, &format!("push {mode} app {to}")).says(
            "gate",
            &[
                "the list says that it is for linux/s390x, its configuration linux/arm64",
                "no tag was moved",
                "manifest annotate",
                "--check-config none",
            ],
        );
    }
    assert_eq!(registry.requests().len(), 0);
    let report = cli.json(&format!("push --check-config none app {to}"));
    assert_eq!(truth(&report), (0, 0));
    cli.fails(2, &format!("push --check-config some app {to}")).says("misuse", &["known, all or none"]);
}

#[test]
fn variants_and_other_spellings_are_no_contradiction() {
    let cli = Cli::new();
    cli.ok(&format!("create app {}", cli.image("linux/arm64")));
    cli.ok("annotate app --platform linux/arm64 --variant v8");
    let report = cli.json(&format!("push app oci:{}:1", cli.workspace.path().join("out").display()));
    assert_eq!(truth(&report), (1, 0));
}

#[test]
fn what_was_read_when_it_was_added_is_judged_without_a_request() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let host = registry.address();
    let one = Image::new("linux/amd64").push_to(&registry, "app", "amd64");
    Image::new("linux/arm64").push_to(&registry, "app", "arm64");
    cli.ok(&format!("create app {host}/app:amd64 {host}/app:arm64"));
    registry.clear_requests();
    let ran = cli.run(&format!("push app docker://{host}/app:1 -v"));
    assert!(ran.stderr.contains("2 of 2 platforms compared with configurations\n"), "{ran:?}");
    let gets = || registry.requests().iter().filter(|request| request.target.contains("/blobs/")).count();
    assert_eq!(gets(), 0);

    // What was forgotten is told of, and read only when that is asked for.
    cli.ok(&format!("cache rm {host}/app:amd64"));
    let push = format!("push app docker://{host}/app:2");
    let ran = cli.run(&push);
    assert!(
        ran.stderr.contains("1 of 2 platforms compared with configurations; --check-config all"),
        "{ran:?}"
    );
    let report = cli.json(&push);
    assert_eq!(truth(&report), (1, 1));
    assert_eq!(report["truth"]["configs"]["unchecked"][0]["digest"], one.to_string());
    assert_eq!(gets(), 0);
    assert_eq!(truth(&cli.json(&format!("{push} --check-config all"))), (2, 0));
    assert_eq!(gets(), 1);
}

#[test]
fn all_reads_what_is_not_at_hand_and_finds_what_is_not_true() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let host = registry.address();
    Image::new("linux/arm64").push_to(&registry, "app", "arm64");
    // Who says what it is for is believed, and nothing more is read then.
    cli.ok("create app");
    cli.ok(&format!("add app {host}/app:arm64 --os linux --arch amd64"));
    registry.clear_requests();
    cli.fails(8, &format!("push app docker://{host}/app:1 --check-config all"))
        .says("gate", &["for linux/amd64, its configuration linux/arm64"]);
    assert_eq!(sent(&registry), 0);
    cli.ok(&format!("push app docker://{host}/app:1"));
}

#[test]
fn programs_for_another_machine_are_refused_when_that_is_asked_for() {
    let (cli, from, to) = (Cli::new(), FakeRegistry::start(), FakeRegistry::start());
    let wrong = Image::new("linux/arm64").files(Tar::new().program("bin/app", amd64_program()));
    wrong.push_to(&from, "app", "arm64");
    let right = Image::new("linux/amd64").files(Tar::new().program("bin/app", amd64_program()));
    right.push_to(&from, "app", "amd64");
    cli.ok(&format!("create app {0}/app:amd64 {0}/app:arm64", from.address()));
    let target = format!("docker://{}/app:1", to.address());
    cli.fails(8, &format!("push app {target} --check-executables"))
        .says("gate", &["bin/app is built for amd64 (ELF), and the image is for linux/arm64", "built anew"]);
    assert_eq!(to.requests().len(), 0);
    cli.ok("remove app --platform linux/arm64");
    let report = cli.json(&format!("push app {target} --check-executables"));
    assert_eq!(report["truth"]["executables"], json!({"checked": 1, "unchecked": []}));
    cli.ok(&format!("add app {}", cli.image("linux/riscv64")));
    let ran = cli.run(&format!("push app {target} --check-executables --allow-shrink"));
    assert!(ran.stderr.contains("has no programs that linux loads"), "{ran:?}");
}
