//! (g) Two registries fed from one read, and layers larger than memory.

use manifest_testkit::{DockerRegistry, Firehose, Http, Link, SlowLink};

use crate::asked::{Options, Size};
use crate::copying::{curl, empty, write_scripts};
use crate::figures::Measure::{Peak, Wall};
use crate::goal::Goal;
use crate::job::Job;
use crate::program::{Ours, found, missing};
use crate::race::{self, Contestant};
use crate::report::Part;
use crate::world::{Images, words};

const ONE: &str = "manifest push, to one registry";
const TWO: &str = "manifest push, to two registries";
const LARGE: &str = "manifest push, 8 blobs at a time";
const CURL: &str = "curl into curl, 8 blobs at a time";

/// What the link to the source carries in a second: a gigabit or so.
const LINK: u64 = 125_000_000;

/// Rounds for what carries gigabytes in each.
const FEW: usize = 3;

/// Steps at once with which eight blobs are carried at once.
const JOBS: &str = "64";

pub(crate) fn run(options: &Options) -> Vec<Part> {
    vec![two(options), large(options)]
}

fn two(options: &Options) -> Part {
    let source = DockerRegistry::plain();
    let size = if options.size == Size::Full { 32 << 20 } else { 1 << 20 };
    let images = Images::push(&source, "g/images", 3, size);
    let link = SlowLink::to(&source.address(), Link { bytes_per_second: Some(LINK), ..Link::default() });
    let ours = Ours::default();
    let behind: Vec<String> =
        images.references().iter().map(|image| image.replace(&source.address(), &link.address())).collect();
    ours.run(&words(&["create", "list"], &behind, &[]));
    let targets = [DockerRegistry::plain(), DockerRegistry::plain()];
    let push = |count: usize, round: usize| {
        // Every round writes all layers again; only those of one round are kept.
        targets.iter().for_each(|registry| empty(&registry.storage()));
        let to: Vec<String> = targets[..count]
            .iter()
            .map(|to| format!("docker://{}/g/{count}-{round}:1", to.address()))
            .collect();
        Job::of([ours.step(&words(&["push", "list"], &to, &[]))])
    };
    let contestants =
        vec![Contestant::new(ONE, |round| push(1, round)), Contestant::new(TWO, |round| push(2, round))];
    let [first, second] = &targets;
    Part {
        title: "Five images of three 32 MiB layers, from a registry behind a link of 125 MB/s",
        rows: race::run(contestants, &[&source, first, second], options.runs),
        goals: vec![Goal::Part(TWO, ONE, Wall, 1.3)],
        missing: vec![],
        facts: vec![],
    }
}

fn large(options: &Options) -> Part {
    let mebibytes = if options.size == Size::Full { 1024 } else { 16 };
    let (source, target) = (Firehose::start(8, mebibytes), Firehose::start(0, 0));
    let (from, to) = (format!("{}/app", source.address()), target.address());
    let (ours, scratch) = (Ours::default(), tempfile::tempdir().expect("a temporary directory"));
    ours.run(&["create", "list", &format!("docker://{from}:big")]);
    let push = |round| {
        let to = format!("docker://{to}/manifest-{round}:1");
        Job::of([ours.step(&["push", "--jobs", JOBS, "list", &to])])
    };
    let mut contestants = vec![Contestant::new(LARGE, push).at_most(FEW)];
    if found("curl").is_some() {
        write_scripts(scratch.path(), &layers(&source));
        let job = |round| curl(scratch.path(), &from, &format!("{to}/curl-{round}"), 8);
        contestants.push(Contestant::new(CURL, job).at_most(FEW).against(LARGE));
    }
    Part {
        title: "One image of eight layers of 1 GiB, between registries that make and forget them",
        rows: race::run(contestants, &[], options.runs),
        goals: vec![Goal::AtMost(LARGE, Peak, 16.0), Goal::Part(LARGE, CURL, Wall, 1.0 / 0.85)],
        missing: missing(&["curl"]),
        facts: vec![],
    }
}

/// The digests of the layers that a registry makes.
fn layers(registry: &Firehose) -> Vec<String> {
    let manifest = Http::to(&registry.address()).get("/v2/app/manifests/big", &[]);
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.body).expect("a manifest");
    let layers = manifest["layers"].as_array().expect("layers");
    layers.iter().filter_map(|layer| layer["digest"].as_str()).map(str::to_owned).collect()
}
