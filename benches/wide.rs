//! (f) A list of a thousand images, and a registry that does not want to be asked often.

use manifest_testkit::{DockerRegistry, FakeRegistry, Image};
use serde_json::{Value, json};

use crate::asked::{Options, Size};
use crate::figures::Measure::{Peak, Wall};
use crate::goal::Goal;
use crate::job::Job;
use crate::program::Ours;
use crate::race::{self, Contestant};
use crate::report::Part;
use crate::world::{INDEX, MANIFEST, put_manifest};

const THOUSAND: &str = "manifest push, 1,000 entries";
const HUNDRED: &str = "manifest push, 100 entries";
const PATH: &str = "f/many";

/// Rounds for what writes thousands of files in each.
const FEW: usize = 3;

const POLITE: &str = "manifest push, 10 requests a second";

pub(crate) fn run(options: &Options) -> Vec<Part> {
    vec![thousand(options), polite()]
}

fn thousand(options: &Options) -> Part {
    let registry = DockerRegistry::plain();
    let (all, tenth) = if options.size == Size::Full { (1_000, 100) } else { (100, 10) };
    let entries = publish(&registry, all);
    for (tag, count) in [("thousand", all), ("hundred", tenth)] {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries[..count] });
        put_manifest(&registry, PATH, tag, INDEX, index.to_string().as_bytes());
    }
    let (ours, host) = (Ours::default(), registry.address());
    let contestant = |name, list: &'static str| {
        ours.run(&["create", list, "--from", &format!("docker://{host}/{PATH}:{list}")]);
        let (ours, host) = (&ours, &host);
        let push = move |round| {
            Job::of([ours.step(&["push", list, &format!("docker://{host}/f/{list}-{round}:1")])])
        };
        Contestant::new(name, push).at_most(FEW)
    };
    let contestants = vec![contestant(THOUSAND, "thousand"), contestant(HUNDRED, "hundred")];
    Part {
        title: "Many small images, each with a layer and a configuration of its own, to a new repository of their registry",
        rows: race::run(contestants, &[&registry], options.runs),
        goals: vec![
            Goal::AtMost(THOUSAND, Wall, 20_000.0),
            Goal::AtMost(THOUSAND, Peak, 16.0),
            Goal::More(THOUSAND, HUNDRED, Peak, 4.0),
        ],
        missing: vec![],
        facts: vec![],
    }
}

/// Pushes so many images by their digests; the entries of a list of them.
fn publish(registry: &DockerRegistry, count: usize) -> Vec<Value> {
    let mut entries = Vec::new();
    for number in 0..count {
        let image = Image::new("linux/amd64").layers(1, 1_000, number as u64 + 1);
        image.push_http(&registry.address(), PATH, "last");
        entries.push(json!({
            "mediaType": MANIFEST,
            "digest": image.digest().to_string(),
            "size": image.manifest().len(),
            "platform": { "architecture": "amd64", "os": "linux", "os.version": format!("1.{number}") },
        }));
    }
    entries
}

/// Ten requests a second are allowed, and all of it takes about a hundred.
fn polite() -> Part {
    let (source, registry) = (FakeRegistry::start(), FakeRegistry::start());
    let ours = Ours::default();
    ours.run(&["create", "list"]);
    for (seed, arch) in (1..).zip(["amd64", "arm64", "386", "arm", "s390x"]) {
        let image = Image::new(&format!("linux/{arch}")).layers(5, 1_000, seed);
        image.push_http(&source.address(), PATH, arch);
        ours.run(&["add", "list", &format!("docker://{}/{PATH}:{arch}", source.address())]);
    }
    let push = |round| {
        // Each program hears anew that there is a limit.
        registry.allow_per_second(10);
        let to = format!("docker://{}/f/polite-{round}:1", registry.address());
        Job::of([ours.step(&["push", "list", &to])])
    };
    let rows = race::run(vec![Contestant::new(POLITE, push)], &[], 1);
    let busiest = registry.busiest_second().unwrap_or_default();
    let verdict = if (1..=12).contains(&busiest) { "met" } else { "missed" };
    let fact = [
        "requests in the busiest second since the client heard of the first refusal",
        &busiest.to_string(),
        "≤ 12",
        verdict,
    ];
    Part {
        title: "Five images of five layers, to a registry that refuses the eleventh request of each second",
        rows,
        goals: vec![],
        missing: vec![],
        facts: vec![fact.map(str::to_owned)],
    }
}
