//! (c) Lists of many entries: adding one, adding all of another list, looking at them.

use std::path::PathBuf;

use manifest_core::Digest;
use manifest_testkit::{DockerRegistry, FakeRegistry, Image};
use serde_json::{Value, json};

use crate::asked::{Options, Size};
use crate::figures::Measure::{Requests, Wall};
use crate::goal::Goal;
use crate::job::Job;
use crate::program::{Buildah, Ours, found, missing, restore};
use crate::race::{self, Contestant};
use crate::report::Part;
use crate::world::{INDEX, MANIFEST, put_manifest};

/// A length of a list, and what its rows are called.
struct Length {
    entries: usize,
    ours: &'static str,
    buildah: &'static str,
}

const LENGTHS: [Length; 4] = [
    Length { entries: 1, ours: "manifest add, 1 entry", buildah: "buildah manifest add, 1 entry" },
    Length { entries: 100, ours: "manifest add, 100 entries", buildah: "buildah manifest add, 100 entries" },
    Length {
        entries: 1_000,
        ours: "manifest add, 1,000 entries",
        buildah: "buildah manifest add, 1,000 entries",
    },
    Length {
        entries: 10_000,
        ours: "manifest add, 10,000 entries",
        buildah: "buildah manifest add, 10,000 entries",
    },
];

const OURS_ALL: &str = "manifest add --all, 1,000 entries";
const BUILDAH_ALL: &str = "buildah manifest add --all, 1,000 entries";
const OURS_INSPECT: &str = "manifest inspect, 1,000 entries";
const BUILDAH_INSPECT: &str = "buildah manifest inspect, 1,000 entries";

const PATH: &str = "c/many";
const INSECURE: &str = "--tls-verify=false";

/// Rounds for those that read every image.
const FEW: usize = 3;

/// The world of this subject.
struct Many {
    registry: DockerRegistry,
    /// For lists so long that nobody would want their images to exist.
    fake: FakeRegistry,
    /// The longest list whose images exist.
    longest: usize,
}

pub(crate) fn run(options: &Options) -> Vec<Part> {
    let many = Many::new(if options.size == Size::Full { 1_000 } else { 100 });
    vec![add_one(options, &many), add_all(options, &many), inspect(options, &many)]
}

impl Many {
    fn new(longest: usize) -> Self {
        let many = Self { registry: DockerRegistry::plain(), fake: FakeRegistry::start(), longest };
        let image = Image::new("linux/amd64");
        image.push_http(&many.registry.address(), PATH, "base");
        Image::new("linux/arm64").push_http(&many.registry.address(), PATH, "extra");
        let base: Value = serde_json::from_slice(&image.manifest()).expect("a manifest");
        let mut entries = Vec::new();
        for number in 0..LENGTHS[LENGTHS.len() - 1].entries {
            let mut manifest = base.clone();
            manifest["annotations"] = json!({ "number": number.to_string() });
            let bytes = manifest.to_string().into_bytes();
            let digest = Digest::sha256(&bytes).to_string();
            if number < longest {
                put_manifest(&many.registry, PATH, &digest, MANIFEST, &bytes);
            }
            let platform =
                json!({ "architecture": "amd64", "os": "linux", "os.version": format!("1.{number}") });
            entries.push(json!({
                "mediaType": MANIFEST, "digest": digest, "size": bytes.len(), "platform": platform,
            }));
        }
        for Length { entries: count, .. } in LENGTHS {
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries[..count] });
            let bytes = index.to_string().into_bytes();
            match count <= longest {
                true => put_manifest(&many.registry, PATH, &format!("list-{count}"), INDEX, &bytes),
                false => drop(many.fake.put_manifest(PATH, &format!("list-{count}"), INDEX, bytes)),
            }
        }
        many
    }

    /// The image that is added.
    fn extra(&self) -> String {
        format!("docker://{}/{PATH}:extra", self.registry.address())
    }

    /// A published list of this many entries.
    fn list(&self, entries: usize) -> String {
        let host = if entries <= self.longest { self.registry.address() } else { self.fake.address() };
        format!("docker://{host}/{PATH}:list-{entries}")
    }

    fn ours_with_list(&self, entries: usize) -> Ours {
        let ours = Ours::default();
        ours.run(&["create", "list", "--from", &self.list(entries)]);
        ours
    }

    fn buildah_with_list(&self, entries: usize) -> Option<Buildah> {
        found("buildah")?;
        let buildah = Buildah::new();
        buildah.run(&["create", "list"]);
        buildah.run(&["add", "--all", INSECURE, "list", &self.list(entries)]);
        Some(buildah)
    }
}

/// A directory and a copy of it beside it, to begin each round with the same.
struct Saved {
    place: PathBuf,
    copy: PathBuf,
}

impl Saved {
    fn of(place: PathBuf) -> Self {
        let saved = Self { copy: place.with_extension("saved"), place };
        restore(&saved.place, &saved.copy);
        saved
    }

    fn restore(&self) {
        restore(&self.copy, &self.place);
    }
}

fn add_one(options: &Options, many: &Many) -> Part {
    let extra = many.extra();
    let mut contestants = Vec::new();
    for length in &LENGTHS {
        let exists = length.entries <= many.longest;
        if !exists && options.size == Size::Small {
            continue;
        }
        let (ours, extra) = (many.ours_with_list(length.entries), &extra);
        let saved = Saved::of(ours.store());
        contestants.push(Contestant::new(length.ours, move |_| {
            saved.restore();
            Job::of([ours.step(&["add", "list", extra])])
        }));
        if let Some(buildah) = exists.then(|| many.buildah_with_list(length.entries)).flatten() {
            let saved = Saved::of(buildah.storage());
            let job = move |_| {
                saved.restore();
                Job::of([buildah.step(&["add", INSECURE, "list", extra])])
            };
            contestants.push(Contestant::new(length.buildah, job).against(length.ours));
        }
    }
    let rows = race::run(contestants, &[&many.registry], options.runs);
    let [.., thousand, ten_thousand] = LENGTHS;
    Part {
        title: "One more image for a list of 1, 100, 1,000 and 10,000",
        rows,
        goals: vec![
            Goal::Part(thousand.ours, thousand.buildah, Wall, 0.3),
            Goal::AtMost(ten_thousand.ours, Wall, 60.0),
        ],
        missing: missing(&["buildah"]),
        facts: vec![],
    }
}

fn add_all(options: &Options, many: &Many) -> Part {
    let list = many.list(many.longest);
    let ours = Ours::default();
    ours.run(&["create", "list"]);
    let saved = Saved::of(ours.store());
    let buildah = found("buildah").map(|_| Buildah::new());
    let mut contestants = vec![Contestant::new(OURS_ALL, |_| {
        saved.restore();
        Job::of([ours.step(&["add", "--all", "list", &list])])
    })];
    if let Some(buildah) = &buildah {
        buildah.run(&["create", "list"]);
        let saved = Saved::of(buildah.storage());
        let list = &list;
        let job = move |_| {
            saved.restore();
            Job::of([buildah.step(&["add", "--all", INSECURE, "list", list])])
        };
        contestants.push(Contestant::new(BUILDAH_ALL, job).at_most(FEW).against(OURS_ALL));
    }
    Part {
        title: "All entries of a published list of 1,000, into an empty list",
        rows: race::run(contestants, &[&many.registry], options.runs),
        goals: vec![Goal::AtMost(OURS_ALL, Requests, 2.0), Goal::AtMost(OURS_ALL, Wall, 50.0)],
        missing: missing(&["buildah"]),
        facts: vec![],
    }
}

fn inspect(options: &Options, many: &Many) -> Part {
    let ours = many.ours_with_list(many.longest);
    let job = |_| Job::of([ours.step(&["inspect", "list"])]);
    let mut contestants = vec![Contestant::new(OURS_INSPECT, job)];
    if let Some(buildah) = many.buildah_with_list(many.longest) {
        let job = move |_| Job::of([buildah.step(&["inspect", "list"])]);
        contestants.push(Contestant::new(BUILDAH_INSPECT, job).against(OURS_INSPECT));
    }
    Part {
        title: "Showing a list of 1,000 entries",
        rows: race::run(contestants, &[&many.registry], options.runs),
        goals: vec![Goal::AtMost(OURS_INSPECT, Wall, 15.0)],
        missing: missing(&["buildah"]),
        facts: vec![],
    }
}
