//! (a) A list of five remote images, pushed to the repository that they are in.

use manifest_testkit::{DockerRegistry, Http};

use crate::asked::Options;
use crate::figures::Measure::{Requests, Wall};
use crate::goal::Goal;
use crate::job::Job;
use crate::program::{Buildah, Ours, found, missing, plain};
use crate::race::{self, Contestant};
use crate::report::Part;
use crate::world::{INDEX, Images, MANIFEST, PLATFORMS, words};

const OURS_TWO: &str = "manifest, 2 commands";
const OURS_SEVEN: &str = "manifest, 7 commands";
const BUILDAH_TWO: &str = "buildah, 2 commands";
const BUILDAH_SEVEN: &str = "buildah, 7 commands";
const ORAS: &str = "oras manifest index create";
const CRANE: &str = "crane index append";
const REGCTL: &str = "regctl index create";
const CURL: &str = "curl, the same 11 requests";

const INSECURE: &str = "--tls-verify=false";

pub(crate) fn run(options: &Options) -> Vec<Part> {
    let registry = DockerRegistry::plain();
    let images = Images::push(&registry, "a/images", 1, 100_000);
    let refs = images.references();
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let document = scratch.path().join("index.json");
    std::fs::write(&document, index_of(&registry, &images)).expect("an index in a file");
    let (mut contestants, here) = (ours(&images, &refs), |name| found(name).is_some());
    if here("buildah") {
        contestants.extend(buildah(&images, &refs));
    }
    if here("oras") {
        contestants.push(Contestant::new(ORAS, |round| oras(&images, round)).against(OURS_TWO));
    }
    if here("crane") {
        contestants.push(Contestant::new(CRANE, |round| crane(&images, round)).against(OURS_TWO));
    }
    if here("regctl") {
        contestants.push(Contestant::new(REGCTL, |round| regctl(&images, round)).against(OURS_TWO));
    }
    if here("curl") {
        let document = document.to_str().expect("a path in UTF-8");
        let url = registry_url(&images);
        let images = &images;
        let job = move |round| curl(&url, images, document, round);
        contestants.push(Contestant::new(CURL, job).against(OURS_TWO));
    }
    let rows = race::run(contestants, &[&registry], options.runs);
    let goals = vec![
        // Five manifests, five configurations, the tag that may not lose a platform, and the list.
        Goal::AtMost(OURS_TWO, Requests, 12.0),
        Goal::Part(OURS_TWO, BUILDAH_TWO, Wall, 0.25),
        Goal::Part(OURS_SEVEN, BUILDAH_SEVEN, Wall, 0.125),
        Goal::Part(OURS_TWO, ORAS, Wall, 0.7),
    ];
    let title = "Five images of one 100 KB layer each, the list into their repository; a new store each time";
    vec![Part {
        title,
        rows,
        goals,
        missing: missing(&["buildah", "oras", "crane", "regctl", "curl"]),
        facts: vec![],
    }]
}

fn ours<'a>(images: &'a Images, refs: &'a [String]) -> Vec<Contestant<'a>> {
    let push = |way: &str, round, ours: &Ours| {
        ours.step(&["push", "list", &images.tagged(&format!("manifest-{way}-{round}"))])
    };
    let two = move |round| {
        let ours = fresh();
        let steps = [ours.step(&words(&["create", "list"], refs, &[])), push("two", round, &ours)];
        Job::of(steps).keeping(ours)
    };
    let seven = move |round| {
        let ours = fresh();
        let adds = refs.iter().map(|image| ours.step(&["add", "list", image]));
        let create = ours.step(&["create", "list"]);
        let steps: Vec<_> = [create].into_iter().chain(adds).chain([push("seven", round, &ours)]).collect();
        Job::of(steps).keeping(ours)
    };
    vec![Contestant::new(OURS_TWO, two), Contestant::new(OURS_SEVEN, seven)]
}

/// A store in which something is already, for both tools, so that none of them sets it up while measured.
fn fresh() -> Ours {
    let ours = Ours::default();
    ours.run(&["create", "other"]);
    ours
}

fn buildah<'a>(images: &'a Images, refs: &'a [String]) -> Vec<Contestant<'a>> {
    let push = |round, tool: &Buildah| {
        let to = images.tagged(&format!("buildah-{round}"));
        tool.step(&["push", "--all=false", INSECURE, "list", &to])
    };
    let fresh = || {
        let tool = Buildah::new();
        tool.run(&["create", "other"]);
        tool
    };
    let two = move |round| {
        let tool = fresh();
        let steps = [tool.step(&words(&["create", INSECURE, "list"], refs, &[])), push(round, &tool)];
        Job::of(steps).keeping(tool)
    };
    let seven = move |round| {
        let tool = fresh();
        let adds = refs.iter().map(|image| tool.step(&["add", INSECURE, "list", image]));
        let create = tool.step(&["create", "list"]);
        let steps: Vec<_> = [create].into_iter().chain(adds).chain([push(round, &tool)]).collect();
        Job::of(steps).keeping(tool)
    };
    vec![
        Contestant::new(BUILDAH_TWO, two).against(OURS_TWO),
        Contestant::new(BUILDAH_SEVEN, seven).against(OURS_SEVEN),
    ]
}

fn oras(images: &Images, round: usize) -> Job {
    let target = format!("{}:oras-{round}", images.repository);
    let tags = PLATFORMS.map(|(tag, _)| tag);
    let first = ["manifest", "index", "create", "--plain-http", &target];
    Job::of([plain("oras", &[&first[..], &tags[..]].concat())])
}

fn crane(images: &Images, round: usize) -> Job {
    let target = format!("{}:crane-{round}", images.repository);
    let each = PLATFORMS.map(|(tag, _)| format!("{}:{tag}", images.repository));
    let mut arguments = vec!["index", "append", "--insecure", "-t", &target];
    arguments.extend(each.iter().flat_map(|image| ["-m", image]));
    Job::of([plain("crane", &arguments)])
}

fn regctl(images: &Images, round: usize) -> Job {
    let target = format!("{}:regctl-{round}", images.repository);
    let host = images.repository.split('/').next().unwrap_or_default();
    let each = PLATFORMS.map(|(tag, _)| format!("{}:{tag}", images.repository));
    let host = format!("reg={host},tls=disabled");
    let mut arguments = vec!["--host", &host, "index", "create", &target];
    arguments.extend(each.iter().flat_map(|image| ["--ref", image]));
    Job::of([plain("regctl", &arguments)])
}

fn registry_url(images: &Images) -> String {
    let (host, path) = images.repository.split_once('/').expect("a host and a path");
    format!("http://{host}/v2/{path}")
}

/// The requests that a client cannot do without, by one process over one connection.
fn curl(url: &str, images: &Images, document: &str, round: usize) -> Job {
    let reads = PLATFORMS.iter().map(|(tag, _)| format!("{url}/manifests/{tag}"));
    let configs = images.configs.iter().map(|digest| format!("{url}/blobs/{digest}"));
    let reads: Vec<String> = reads.chain(configs).collect();
    let (accept, kind) = (format!("Accept: {MANIFEST}"), format!("Content-Type: {INDEX}"));
    let (body, to) = (format!("@{document}"), format!("{url}/manifests/curl-{round}"));
    let last = ["--next", "-sSf", "-X", "PUT", "-H", &kind, "--data-binary", &body, &to];
    Job::of([plain("curl", &words(&["-sSf", "-H", &accept], &reads, &last))])
}

/// The index of the images, as we write it.
fn index_of(registry: &DockerRegistry, images: &Images) -> Vec<u8> {
    let ours = Ours::default();
    ours.run(&words(&["create", "list"], &images.references(), &[]));
    ours.run(&["push", "list", &images.tagged("list")]);
    let answer = Http::to(&registry.address()).get("/v2/a/images/manifests/list", &[("accept", INDEX)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}
