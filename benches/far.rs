//! (e) A registry that is far away: every request takes 40 ms longer.

use std::time::Duration;

use manifest_testkit::{DockerRegistry, Image, Link, SlowLink};

use crate::asked::{Options, Size};
use crate::copying::copiers;
use crate::figures::Measure::Wall;
use crate::goal::Goal;
use crate::job::Job;
use crate::program::{Ours, Skopeo, found, missing};
use crate::race::{self, Contestant};
use crate::report::Part;

const OURS: &str = "manifest push";
const SKOPEO: &str = "skopeo copy --all, cold";

const DELAY: Duration = Duration::from_millis(40);
const PATH: &str = "e/images";
const LIST: &str = "list";

const SYSTEMS: [&str; 6] = ["linux", "freebsd", "netbsd", "openbsd", "darwin", "windows"];
const ARCHITECTURES: [&str; 5] = ["amd64", "arm64", "386", "arm", "riscv64"];

pub(crate) fn run(options: &Options) -> Vec<Part> {
    let (source, registry) = (DockerRegistry::plain(), DockerRegistry::plain());
    let link = SlowLink::to(&registry.address(), Link { delay: DELAY, bytes_per_second: None });
    let list = publish(&source, if options.size == Size::Full { 5 } else { 1 });
    let (ours, skopeo) = (Ours::default(), found("skopeo").map(|_| Skopeo::new()));
    ours.run(&["create", LIST, "--from", &format!("docker://{list}")]);
    let target = |who: &str, round: usize| format!("{}/e/{who}-{round}:{LIST}", link.address());
    let push =
        |round| Job::of([ours.step(&["push", LIST, &format!("docker://{}", target("manifest", round))])]);
    let mut contestants = vec![Contestant::new(OURS, push)];
    if let Some(skopeo) = &skopeo {
        let (from, target) = (format!("docker://{list}"), &target);
        let copy =
            move |round| Job::of([skopeo.cold_copy(&from, &format!("docker://{}", target("skopeo", round)))]);
        contestants.push(Contestant::new(SKOPEO, copy).against(OURS));
    }
    contestants.extend(copiers(&list, &target));
    let rows = race::run(contestants, &[&registry], options.runs);
    let third = |peer| Goal::Part(OURS, peer, Wall, 1.0 / 3.0);
    vec![Part {
        title: "Thirty images of five small layers, to a new repository of a registry 40 ms away",
        rows,
        goals: vec![
            Goal::Part(OURS, SKOPEO, Wall, 1.0 / 8.0),
            third("crane copy"),
            third("regctl image copy"),
            third("oras cp"),
            // A third of what the quickest of them took where all were measured.
            Goal::AtMost(OURS, Wall, 5_600.0 / 3.0),
        ],
        missing: missing(&["skopeo", "oras", "crane", "regctl"]),
        facts: vec![],
    }]
}

/// Pushes thirty images with so many layers and a list of them; its reference without a transport.
fn publish(registry: &DockerRegistry, layers: usize) -> String {
    let repository = format!("{}/{PATH}", registry.address());
    let ours = Ours::default();
    ours.run(&["create", LIST]);
    let platforms = SYSTEMS.iter().flat_map(|os| ARCHITECTURES.iter().map(move |arch| (os, arch)));
    for (seed, (os, arch)) in (1..).zip(platforms) {
        let tag = format!("{os}-{arch}");
        Image::new(&format!("{os}/{arch}")).layers(layers, 10_000, seed).push_http(
            &registry.address(),
            PATH,
            &tag,
        );
        ours.run(&["add", LIST, &format!("docker://{repository}:{tag}")]);
    }
    ours.run(&["push", LIST, &format!("docker://{repository}:{LIST}")]);
    format!("{repository}:{LIST}")
}
