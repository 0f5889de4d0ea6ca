//! (b) A list and its images to another repository of their registry, and to another registry.

use std::fs;
use std::path::Path;

use manifest_testkit::DockerRegistry;

use crate::asked::{Options, Size};
use crate::figures::Measure::{Cpu, Peak, Wall};
use crate::goal::Goal;
use crate::job::Job;
use crate::program::{Buildah, Ours, Skopeo, found, missing, plain};
use crate::race::{self, Contestant};
use crate::report::Part;
use crate::world::{Images, words};

const OURS: &str = "manifest push";
const BUILDAH: &str = "buildah manifest push --all, cold";
const SKOPEO: &str = "skopeo copy --all, cold";
const ORAS: &str = "oras cp";
const CRANE: &str = "crane copy";
const REGCTL: &str = "regctl image copy";
const CURL: &str = "curl into curl, 6 blobs at a time";

/// Rounds for those that carry every byte although they need not.
const FEW: usize = 3;

/// The tag of the whole list, for programs that copy lists and do not make them.
const LIST: &str = "list";

pub(crate) fn run(options: &Options) -> Vec<Part> {
    let registry = DockerRegistry::plain();
    let size = if options.size == Size::Full { 64 << 20 } else { 1 << 20 };
    let images = Images::push(&registry, "b/images", 3, size);
    let ours = Ours::default();
    ours.run(&words(&["create", LIST], &images.references(), &[]));
    ours.run(&["push", LIST, &images.tagged(LIST)]);
    vec![mounted(options, &registry, &images, &ours), carried(options, &registry, &images, &ours)]
}

fn mounted(options: &Options, registry: &DockerRegistry, images: &Images, ours: &Ours) -> Part {
    let (host, from) = (registry.address(), format!("{}:{LIST}", images.repository));
    let target = |who: &str, round: usize| format!("{host}/b/{who}-{round}:{LIST}");
    let buildah = found("buildah").map(|_| Buildah::new());
    let mut contestants = vec![Contestant::new(OURS, |round| push(ours, &target("manifest", round)))];
    if let Some(buildah) = &buildah {
        buildah.run(&words(&["create", "--tls-verify=false", LIST], &images.references(), &[]));
        let job = |round| {
            buildah.forget_blobs();
            let to = format!("docker://{}", target("buildah", round));
            Job::of([buildah.step(&["push", "--all", "--tls-verify=false", LIST, &to])])
        };
        contestants.push(Contestant::new(BUILDAH, job).at_most(FEW).against(OURS));
    }
    contestants.extend(copiers(&from, &target));
    let rows = race::run(contestants, &[registry], options.runs);
    Part {
        title: "Five images of three 64 MiB layers, to another repository of their registry",
        rows,
        goals: vec![Goal::Part(OURS, BUILDAH, Wall, 1.0 / 40.0), Goal::Part(OURS, ORAS, Wall, 0.8)],
        missing: missing(&["buildah", "oras", "crane", "regctl"]),
        facts: vec![],
    }
}

fn carried(options: &Options, source: &DockerRegistry, images: &Images, ours: &Ours) -> Part {
    let registry = DockerRegistry::plain();
    let (host, stored) = (registry.address(), registry.storage());
    let from = format!("{}:{LIST}", images.repository);
    let target = |who: &str, round: usize| {
        // Every round writes all layers again; only those of one round are kept.
        empty(&stored);
        format!("{host}/b/{who}-{round}:{LIST}")
    };
    let skopeo = found("skopeo").map(|_| Skopeo::new());
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let mut contestants = vec![Contestant::new(OURS, |round| push(ours, &target("manifest", round)))];
    if let Some(skopeo) = &skopeo {
        let from = images.tagged(LIST);
        let job =
            move |round| Job::of([skopeo.cold_copy(&from, &format!("docker://{}", target("skopeo", round)))]);
        contestants.push(Contestant::new(SKOPEO, job).against(OURS));
    }
    if found("curl").is_some() {
        write_scripts(scratch.path(), &images.blobs);
        let job = |round| curl(scratch.path(), &images.repository, &target("curl", round), 6);
        contestants.push(Contestant::new(CURL, job).against(OURS));
    }
    contestants.extend(copiers(&from, &target));
    let rows = race::run(contestants, &[source, &registry], options.runs);
    let best = [SKOPEO, ORAS, CRANE, REGCTL].map(|peer| Goal::Part(OURS, peer, Wall, 1.0));
    let best = best
        .into_iter()
        .filter(|goal| matches!(goal, Goal::Part(_, peer, ..) if rows.iter().any(|row| row.name == *peer)));
    let goals = best
        .chain([
            Goal::Part(OURS, CURL, Cpu, 1.2),
            Goal::Part(OURS, CURL, Wall, 1.0 / 0.85),
            Goal::AtMost(OURS, Peak, 16.0),
        ])
        .collect();
    Part {
        title: "The same to another registry",
        rows,
        goals,
        missing: missing(&["skopeo", "curl", "oras", "crane", "regctl"]),
        facts: vec![],
    }
}

fn push(ours: &Ours, to: &str) -> Job {
    Job::of([ours.step(&["push", LIST, &format!("docker://{to}")])])
}

/// The programs that copy the list `from` as it is; `target` names where to, for a contestant and a round.
pub(crate) fn copiers<'a>(from: &'a str, target: &'a dyn Fn(&str, usize) -> String) -> Vec<Contestant<'a>> {
    let mut contestants = Vec::new();
    if found("oras").is_some() {
        let flags = ["cp", "--from-plain-http", "--to-plain-http"];
        let job =
            move |round| Job::of([plain("oras", &[&flags[..], &[from, &target("oras", round)]].concat())]);
        contestants.push(Contestant::new(ORAS, job).against(OURS));
    }
    if found("crane").is_some() {
        let job =
            move |round| Job::of([plain("crane", &["copy", "--insecure", from, &target("crane", round)])]);
        contestants.push(Contestant::new(CRANE, job).against(OURS));
    }
    if found("regctl").is_some() {
        let job = move |round| {
            let to = target("regctl", round);
            let hosts = [from, &to].map(|name| name.split('/').next().unwrap_or_default());
            let [one, other] = hosts.map(|host| format!("reg={host},tls=disabled"));
            Job::of([plain("regctl", &["--host", &one, "--host", &other, "image", "copy", from, &to])])
        };
        contestants.push(Contestant::new(REGCTL, job).against(OURS));
    }
    contestants
}

/// Moves one blob: `$1` is its digest, `$from` and `$to` the addresses of the repositories.
const ONE_BLOB: &str = "\
set -eu
upload=$(curl -sSf -X POST -d '' -o /dev/null -w '%header{location}' \"$to/blobs/uploads/\")
curl -sSfN \"$from/blobs/$1\" |
    curl -sSf -X PUT -T - -H Expect: -H 'Content-Type: application/octet-stream' \"$upload&digest=$1\"
";

/// Moves all blobs of a list.
const ALL_BLOBS: &str = "\
set -eu
export from=\"$2\" to=\"$3\"
xargs -P \"$4\" -n 1 sh \"$1/one-blob\" <\"$1/blobs\"
";

/// Writes down how [`curl`] moves these blobs.
pub(crate) fn write_scripts(dir: &Path, blobs: &[String]) {
    let blobs = blobs.join("\n");
    for (name, text) in [("one-blob", ONE_BLOB), ("all-blobs", ALL_BLOBS), ("blobs", &blobs)] {
        fs::write(dir.join(name), text).expect("a file");
    }
}

/// Moves blobs from one repository to another, so many at once; both begin with host and port.
pub(crate) fn curl(scripts: &Path, from: &str, to: &str, at_once: usize) -> Job {
    let scripts = scripts.to_str().expect("a path in UTF-8");
    let [from, to] = [from, to.trim_end_matches(LIST).trim_end_matches(':')].map(|name| {
        let (host, path) = name.split_once('/').expect("a host and a path");
        format!("http://{host}/v2/{path}")
    });
    Job::of([plain("sh", &[&format!("{scripts}/all-blobs"), scripts, &from, &to, &at_once.to_string()])])
}

/// Removes what a registry has stored.
pub(crate) fn empty(stored: &Path) {
    if stored.exists() {
        fs::remove_dir_all(stored).expect("a storage that can be emptied");
    }
}
