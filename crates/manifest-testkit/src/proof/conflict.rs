//! Two processes push to one tag at once, one platform each (DUR-40).
//!
//! With `--on-conflict merge` the tag has both platforms in the end, and both pushes say that they are done; with
//! `--expect-current absent` one of them is done, the other ends with 4, and the tag means what the first has pushed. That is
//! promised where the registry compares before it sets a tag, and where the two share a store, in a directory or a bucket.
//! Where they share neither, on a registry that compares nothing, it is measured.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::{Proved, Subject, Violation, ensure};
use crate::{DockerRegistry, FakeRegistry, Http, Image, Ran};

/// The platforms of the two.
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// Where two pushes meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the settings of one proof")]
pub enum Setting {
    /// A registry that honours preconditions; each has a store of its own.
    Compares,
    /// Debian's registry, which compares nothing; they share a store in a directory.
    Directory,
    /// The same with a store in object storage.
    Bucket,
    /// The same with a store of its own for each: nothing keeps them apart.
    Apart,
}

impl Setting {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Compares, Self::Directory, Self::Bucket, Self::Apart];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compares => "compares",
            Self::Directory => "directory",
            Self::Bucket => "bucket",
            Self::Apart => "apart",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compares => "a registry that compares, separate stores",
            Self::Directory => "Debian's registry, one store in a directory",
            Self::Bucket => "Debian's registry, one store in object storage",
            Self::Apart => "Debian's registry, separate stores",
        })
    }
}

/// How many races, and where.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// How often the two push, each time to another tag.
    pub rounds: usize,
    /// Where.
    pub settings: Vec<Setting>,
}

/// What keeps the two from undoing each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    Merge,
    Expect,
}

/// Proves that of two pushes to one tag neither is lost, or one is told.
///
/// # Errors
/// The first broken promise.
///
/// # Panics
/// If a registry or an emulator does not start, or files cannot be written.
pub fn conflict(subject: &Subject, size: &Conflict) -> Proved {
    let mut lines = Vec::new();
    for setting in &size.settings {
        let race = Race::prepare(subject, *setting)?;
        for means in [Means::Merge, Means::Expect] {
            lines.push(race.run(means, size.rounds)?);
        }
    }
    Ok(lines.join("\n"))
}

/// A registry of a kind.
pub(super) enum Registry {
    Fake(FakeRegistry),
    Debian(DockerRegistry),
}

impl Registry {
    pub(super) fn address(&self) -> String {
        match self {
            Self::Fake(registry) => registry.address(),
            Self::Debian(registry) => registry.address(),
        }
    }
}

/// Two processes, each with a list of one platform.
struct Race {
    setting: Setting,
    registry: Registry,
    subjects: [Subject; 2],
    digests: [String; 2],
}

impl Race {
    fn prepare(subject: &Subject, setting: Setting) -> Result<Self, Violation> {
        let new = || Subject::new(subject.program());
        let subjects = match setting {
            Setting::Compares | Setting::Apart => [new(), new()],
            Setting::Directory => {
                let one = new();
                [one.clone(), one]
            }
            Setting::Bucket => {
                let one = new().in_amazon();
                [one.clone(), one]
            }
        };
        let registry = match setting {
            Setting::Compares => Registry::Fake(FakeRegistry::start()),
            _ => Registry::Debian(DockerRegistry::plain()),
        };
        let mut digests = [const { String::new() }; 2];
        for (at, platform) in PLATFORMS.into_iter().enumerate() {
            let layout = subjects[at].scratch().join(format!("images-{at}"));
            Image::new(platform).write_layout(&layout, "it");
            let list = list(at);
            subjects[at].done(["create", &list, &format!("oci:{}:it", layout.display())])?;
            let shown = subjects[at].result(&["inspect", &list])?;
            digests[at] = shown["document"]["digest"].as_str().unwrap_or_default().to_owned();
        }
        Ok(Self { setting, registry, subjects, digests })
    }

    fn run(&self, means: Means, rounds: usize) -> Result<String, Violation> {
        let (begun, mut kept, mut again) = (Instant::now(), 0, 0);
        for round in 0..rounds {
            let tag = format!("{}-{round}", if means == Means::Merge { "merge" } else { "expect" });
            let ran = self.race(means, &tag)?;
            again += ran.iter().filter(|ran| ran.stderr.contains("beginning again")).count();
            match self.judge(means, &tag, &ran) {
                Ok(()) => kept += 1,
                Err(_) if self.setting == Setting::Apart => {}
                Err(lost) => return Err(lost),
            }
        }
        let what = match means {
            Means::Merge => "--on-conflict merge: both platforms were there in the end",
            Means::Expect => "--expect-current absent: one was done and the other told",
        };
        let tail = match means {
            Means::Merge => format!("{again} pushes began again; "),
            Means::Expect => String::new(),
        };
        let lost = rounds - kept;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(format!(
            "{}, {what} in {kept} of {rounds} rounds, {lost} lost; {tail}{seconds:.1} s",
            self.setting
        ))
    }

    /// Both push at once.
    fn race(&self, means: Means, tag: &str) -> Result<[Ran; 2], Violation> {
        let target = format!("docker://{}/app:{tag}", self.registry.address());
        let options = match means {
            Means::Merge => ["--on-conflict", "merge"],
            Means::Expect => ["--expect-current", "absent"],
        };
        let running = [0, 1].map(|at| {
            let list = list(at);
            let words = ["push", &list, &target].into_iter().chain(options);
            let mut command: Command = self.subjects[at].command(words);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap_or_else(|error| panic!("cannot start it: {error}"))
        });
        let ran = running.map(|child| {
            let output = child.wait_with_output().expect("the output of a child");
            Ran {
                command: format!("manifest push {target} {}", options.join(" ")),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
                code: output.status.code(),
            }
        });
        let is_fine = |ran: &Ran| ran.code == Some(0) || (means == Means::Expect && ran.code == Some(4));
        ensure(ran.iter().all(is_fine), || format!("a push failed without need\n{ran:?}"))?;
        Ok(ran)
    }

    fn judge(&self, means: Means, tag: &str, ran: &[Ran; 2]) -> Result<(), Violation> {
        let path = format!("/v2/app/manifests/{tag}");
        let accept = [("accept", "application/vnd.oci.image.index.v1+json")];
        let answer = Http::to(&self.registry.address()).send("GET", &path, &accept, b"");
        let found: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if means == Means::Merge {
            let entries = found["manifests"].as_array().cloned().unwrap_or_default();
            let architectures: std::collections::BTreeSet<&str> =
                entries.iter().filter_map(|entry| entry["platform"]["architecture"].as_str()).collect();
            return ensure(architectures == ["amd64", "arm64"].into(), || {
                format!("{}: {tag} has {architectures:?}\n{ran:?}", self.setting)
            });
        }
        let digest = answer.header("docker-content-digest").unwrap_or_default();
        let done: Vec<usize> = (0..2).filter(|at| ran[*at].code == Some(0)).collect();
        ensure(matches!(&done[..], [winner] if self.digests[*winner] == digest), || {
            format!(
                "{}: {done:?} of {:?} are done, and {tag} means {digest}\n{ran:?}",
                self.setting, self.digests
            )
        })
    }
}

fn list(at: usize) -> String {
    format!("job{at}")
}
