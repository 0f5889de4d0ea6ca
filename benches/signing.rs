//! (h) A list of fifty images is signed.

use manifest_testkit::{DockerRegistry, Image};

use crate::asked::{Options, Size};
use crate::figures::Measure::{Cpu, Requests};
use crate::goal::Goal;
use crate::job::Job;
use crate::program::Ours;
use crate::race::{self, Contestant};
use crate::report::Part;

const SIMPLE: &str = "manifest sign, RSA-3072 key in a file";
const COSIGN: &str = "manifest sign, cosign key";
const BUNDLE: &str = "manifest sign, cosign key, bundles";
const AGAIN: &str = "manifest sign, cosign key, signed already";

/// What a signature may cost us: all our CPU time, what requests cost us and the opening of the key included, which takes a
/// third of a second of a cosign key. So a key that were opened for each signature would miss it by far.
const EACH_MS: f64 = 20.0;

/// Manifests that are signed at once.
const AT_ONCE: f64 = 24.0;

pub(crate) fn run(options: &Options) -> Vec<Part> {
    let registry = DockerRegistry::plain();
    let (ours, host) = (Ours::default(), registry.address());
    let children: u32 = if options.size == Size::Full { 50 } else { 5 };
    let signatures = f64::from(children) + 1.0;
    ours.run(&["create", "list"]);
    for number in 0..children {
        let tag = format!("v{number}");
        let image = Image::new("linux/amd64").layers(1, 1_000, u64::from(number) + 1);
        image.push_http(&host, "h/source", &tag);
        ours.run(&["add", "list", "--allow-duplicate", &format!("docker://{host}/h/source:{tag}")]);
    }
    let lookaside = ours.write("lookaside/.keep", "");
    let lookaside = lookaside.parent().expect("a directory").display();
    ours.write(
        "home/.config/containers/registries.d/all.yaml",
        &format!("default-docker: {{lookaside: 'file://{lookaside}'}}"),
    );
    let passphrase = ours.write("passphrase", "correct horse").display().to_string();
    let key = |name: &str, arguments: &[&str]| {
        let prefix = ours.write(&format!("{name}.prefix"), "").with_extension("").display().to_string();
        let fixed = ["key", "generate", "--output-prefix", &prefix, "--sign-passphrase-file", &passphrase];
        ours.run(&[&fixed[..], arguments].concat());
        format!("{prefix}.key")
    };
    let rsa = key("rsa", &["--type", "openpgp", "--user-id", "bench"]);
    let cosign = key("cosign", &[]);
    let contestant = |name: &'static str, who: &'static str, key: &str, format: &'static str| {
        let (ours, host, key, passphrase) = (&ours, &host, key.to_owned(), passphrase.clone());
        let sign = move |round| {
            let target = format!("docker://{host}/h/{who}-{round}:1");
            ours.run(&["push", "list", &target, "--allow-duplicate"]);
            let words = ["sign", &target, "--sign-key", &key, "--sign-passphrase-file", &passphrase];
            let words = [&words[..], &["--signature-format", format]].concat();
            if name == AGAIN {
                ours.run(&words);
            }
            Job::of([ours.step(&words)])
        };
        Contestant::new(name, sign)
    };
    let contestants = vec![
        contestant(SIMPLE, "simple", &rsa, "simple"),
        contestant(COSIGN, "cosign", &cosign, "cosign"),
        contestant(BUNDLE, "bundle", &cosign, "bundle"),
        contestant(AGAIN, "again", &cosign, "cosign"),
    ];
    let rows = race::run(contestants, &[&registry], options.runs);
    // Once: the version of the registry, the list, and whether the registry compares.
    let beside = 8.0;
    vec![Part {
        title: "A list of fifty images and all of these, so fifty-one signatures, by a key with a passphrase",
        rows,
        goals: vec![
            Goal::AtMost(SIMPLE, Cpu, EACH_MS * signatures),
            Goal::AtMost(COSIGN, Cpu, EACH_MS * signatures),
            Goal::AtMost(BUNDLE, Cpu, EACH_MS * signatures),
            Goal::AtMost(SIMPLE, Requests, beside),
            // Two of them are the second look, since this registry compares nothing; those that are under way when that is found
            // out read their tags once more.
            Goal::AtMost(COSIGN, Requests, 8.0 * signatures + beside + AT_ONCE),
            Goal::AtMost(AGAIN, Requests, 2.0 * signatures + beside),
        ],
        missing: vec![],
        facts: vec![],
    }]
}
