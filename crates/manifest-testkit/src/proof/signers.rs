//! Many processes sign one image at once (A5-3).
//!
//! Each has a key of its own and leaves an attached signature and a bundle; in the end all of them are there. That is
//! promised where the registry compares before it writes, and where the signers share a store; where they share neither,
//! on a registry that compares nothing, it is measured.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::conflict::{Registry, Setting};
use super::{Proved, Subject, Violation, ensure};
use crate::{DockerRegistry, FakeRegistry, Http, Image, Ran, program};

/// How many sign, how often, and where.
#[derive(Clone, Debug)]
pub struct Signers {
    /// How many sign at once.
    pub signers: usize,
    /// How often, each time another image.
    pub rounds: usize,
    /// Where.
    pub settings: Vec<Setting>,
}

/// Proves that of many signatures that are made at once none is lost.
///
/// # Errors
/// The first broken promise.
///
/// # Panics
/// If a registry or an emulator does not start, or files cannot be written.
pub fn signers(subject: &Subject, size: &Signers) -> Proved {
    let keys: Vec<String> =
        (0..size.signers).map(|at| make_key(subject.scratch(), &format!("signer-{at}"))).collect();
    let line = |setting: &Setting| Crowd::new(subject, *setting, keys.len()).run(&keys, size.rounds);
    Ok(size.settings.iter().map(line).collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// A new plain key in a file; its path.
pub(super) fn make_key(directory: &Path, name: &str) -> String {
    let path = directory.join(format!("{name}.key")).display().to_string();
    let arguments = ["genpkey", "-algorithm", "ed25519", "-out", &path];
    Ran::of(Command::new(program("openssl")).args(arguments)).ok();
    path
}

/// Those who sign, and where.
struct Crowd {
    setting: Setting,
    registry: Registry,
    subjects: Vec<Subject>,
}

impl Crowd {
    fn new(subject: &Subject, setting: Setting, count: usize) -> Self {
        let new = || Subject::new(subject.program());
        let subjects = match setting {
            Setting::Compares | Setting::Apart => (0..count).map(|_| new()).collect(),
            Setting::Directory => vec![new(); count],
            Setting::Bucket => vec![new().in_amazon(); count],
        };
        let registry = match setting {
            Setting::Compares => Registry::Fake(FakeRegistry::start()),
            _ => Registry::Debian(DockerRegistry::plain()),
        };
        Self { setting, registry, subjects }
    }

    fn run(&self, keys: &[String], rounds: usize) -> Result<String, Violation> {
        let (begun, mut lost, mut told, mut untold) = (Instant::now(), 0, 0, 0);
        for round in 0..rounds {
            let image = Image::new("linux/amd64").layer(format!("{} {round}", self.setting.name()));
            let digest = image.push_http(&self.registry.address(), "app", &format!("v{round}")).to_string();
            let ran = self.sign(keys, round);
            let failed: Vec<&Ran> = ran.iter().filter(|ran| ran.code != Some(0)).collect();
            ensure(failed.is_empty() || self.setting == Setting::Apart, || {
                format!("{}: {failed:?}", self.setting)
            })?;
            told += failed.len();
            let found = [self.attached(&digest), self.bundles(&digest)];
            let missing: usize = found.iter().map(|found| keys.len().saturating_sub(*found)).sum();
            ensure(missing == 0 || self.setting == Setting::Apart, || {
                format!(
                    "{}, round {round}: {found:?} of {} signatures are there\n{ran:?}",
                    self.setting,
                    keys.len()
                )
            })?;
            lost += missing;
            if missing > 0 {
                untold += self.untold(keys, round, &ran)?;
            }
        }
        let all = rounds * keys.len() * 2;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(format!(
            "{}, {} processes sign one image at once, {rounds} times: {lost} of {all} signatures lost, {untold} of them \
             by processes that said that all was done, {told} processes ended with an error; {seconds:.1} s",
            self.setting,
            keys.len()
        ))
    }

    /// Signatures that are missing although their makers took them for written: they write them when they sign again.
    fn untold(&self, keys: &[String], round: usize, ran: &[Ran]) -> Result<usize, Violation> {
        let target = self.target(round);
        let mut missing = 0;
        for ((subject, key), _) in
            self.subjects.iter().zip(keys).zip(ran).filter(|(_, ran)| ran.code == Some(0))
        {
            let words = ["sign", &target, "--sign-key", key, "--signature-format", "cosign,bundle"];
            let again = subject.result(&words)?;
            missing += again["targets"][0]["signed"]["written"].as_u64().unwrap_or_default();
        }
        Ok(usize::try_from(missing).unwrap_or(usize::MAX))
    }

    fn target(&self, round: usize) -> String {
        format!("docker://{}/app:v{round}", self.registry.address())
    }

    /// All sign at once.
    fn sign(&self, keys: &[String], round: usize) -> Vec<Ran> {
        let target = self.target(round);
        let start = |(subject, key): (&Subject, &String)| {
            let words = ["sign", &target, "--sign-key", key, "--signature-format", "cosign,bundle"];
            // Where many take turns, the last one waits for all others.
            let mut command = subject.command(words.into_iter().chain(["--lock-timeout", "5m"]));
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap_or_else(|error| panic!("cannot start it: {error}"))
        };
        let running: Vec<_> = self.subjects.iter().zip(keys).map(start).collect();
        let ended = running.into_iter().map(|child| {
            let output = child.wait_with_output().expect("the output of a child");
            Ran {
                command: format!("manifest sign {target}"),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
                code: output.status.code(),
            }
        });
        ended.collect()
    }

    fn attached(&self, digest: &str) -> usize {
        let manifest = self.get(&format!("{}.sig", digest.replace(':', "-")));
        manifest["layers"].as_array().map_or(0, Vec::len)
    }

    /// The bundles in the index that stands in for the referrers API, which neither registry has, if they are there.
    fn bundles(&self, digest: &str) -> usize {
        let index = self.get(&digest.replace(':', "-"));
        let listed = index["manifests"].as_array().cloned().unwrap_or_default();
        let is_there = |entry: &&Value| {
            entry["digest"].as_str().is_some_and(|digest| self.get(digest)["subject"].is_object())
        };
        listed.iter().filter(is_there).count()
    }

    fn get(&self, reference: &str) -> Value {
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
        let target = format!("/v2/app/manifests/{reference}");
        let answer = Http::to(&self.registry.address()).get(&target, &[("accept", accept)]);
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }
}
