//! Pushes that sign are killed at random moments, and gone on with (A5-4).
//!
//! Somebody looks at the tag all the time: whenever it means the list, the list and its images are signed, whatever became of
//! the push. The registry is Debian's; that no tag was moved before the last signature is read from its access log,
//! too. What is resumed signs nothing twice.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::chance::Chance;
use super::signers::make_key;
use super::{Proved, Subject, Violation, ensure};
use crate::{DockerRegistry, Http, HttpAnswer, Image, Method};

/// How long the registry may go on with what it was doing.
const AFTER: Duration = Duration::from_millis(150);
/// How much longer than usual a push may be left alone before it is killed.
const SLACK: f64 = 1.1;
/// Pushes that are left alone, to know what is usual; the very first is slow.
const LEFT_ALONE: usize = 2;
/// Which part of a push has gone by when it is late.
const LATE: f64 = 0.75;
const TAG: &str = "stable";

/// How many pushes are killed.
#[derive(Clone, Copy, Debug)]
pub struct Signing {
    /// How many pushes are killed or done before that.
    pub runs: usize,
    /// Where chance begins.
    pub seed: u64,
}

/// Proves that no tag ever means a list that is not signed, with everything in it.
///
/// # Errors
/// The first broken promise.
///
/// # Panics
/// If a registry does not start, or files cannot be written.
pub fn signing(subject: &Subject, size: &Signing) -> Proved {
    let registry = DockerRegistry::plain();
    let key = make_key(subject.scratch(), "kill");
    let mut chance = Chance::new(size.seed);
    let (mut usual, mut looks, mut done, mut begun_unsigned) = (Duration::ZERO, 0, 0, 0);
    let begun = Instant::now();
    for run in 0..size.runs + LEFT_ALONE {
        let push = Push::prepare(subject, &registry, run)?;
        // Tags move late, so that half of the pushes are killed late.
        let late = if chance.below(2) == 0 { Duration::ZERO } else { usual.mul_f64(LATE) };
        let moment = (run >= LEFT_ALONE).then(|| late + chance.within(usual.mul_f64(SLACK) - late));
        let told = |violation| {
            Violation::new(format!("run {run} (seed {}), killed after {moment:?}: {violation}", size.seed))
        };
        let (took, looked) = push.watched(&key, moment).map_err(told)?;
        usual = took.unwrap_or(usual);
        looks += looked;
        done += usize::from(took.is_some());
        begun_unsigned += usize::from(!push.means_the_list());
        push.finish(&key, took.is_some()).map_err(told)?;
    }
    Ok(format!(
        "{} pushes with signing killed (seed {}; one takes {:.0} ms; {done} were done before): {begun_unsigned} left the tag \
         unset, and in {looks} looks it never meant a list that was not signed with everything in it; all others were \
         resumed or pushed again, and nothing was signed twice; {:.1} s",
        size.runs,
        size.seed,
        usual.as_secs_f64() * 1e3,
        begun.elapsed().as_secs_f64()
    ))
}

/// One push of a list of its own, to a repository of its own.
struct Push<'a> {
    subject: &'a Subject,
    registry: &'a DockerRegistry,
    repository: String,
    list: String,
    /// The images, and the list behind them.
    digests: Vec<String>,
}

impl<'a> Push<'a> {
    fn prepare(subject: &'a Subject, registry: &'a DockerRegistry, run: usize) -> Result<Self, Violation> {
        let layout = subject.scratch().join(format!("signed-{run}"));
        let image =
            |platform: &str, seed: usize| Image::new(platform).layers(1, 50_000, (run * 2 + seed) as u64);
        let images = [image("linux/amd64", 0), image("linux/arm64", 1)];
        for (image, name) in images.iter().zip(["a", "b"]) {
            image.write_layout(&layout, name);
        }
        let list = format!("signed:{run}");
        let named = |name: &str| format!("oci:{}:{name}", layout.display());
        subject.done(["create", &list, &named("a"), &named("b")])?;
        let shown = subject.result(&["inspect", &list])?;
        let digest = shown["document"]["digest"].as_str().unwrap_or_default().to_owned();
        let digests = images.iter().map(|image| image.digest().to_string()).chain([digest]).collect();
        Ok(Self { subject, registry, repository: format!("signed{run}"), list, digests })
    }

    fn target(&self) -> String {
        format!("docker://{}/{}:{TAG}", self.registry.address(), self.repository)
    }

    /// Pushes, to the end or to a violent one, while somebody looks at the tag: how long it took, if it was done, and how
    /// often was looked.
    fn watched(&self, key: &str, moment: Option<Duration>) -> Result<(Option<Duration>, usize), Violation> {
        let has_ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut looks = 0;
                loop {
                    let last = has_ended.load(Ordering::Acquire);
                    self.is_signed_where_it_is_public()?;
                    looks += 1;
                    if last {
                        return Ok::<_, Violation>(looks);
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let took = self.push(key, moment);
            thread::sleep(AFTER);
            has_ended.store(true, Ordering::Release);
            let looks = watcher.join().expect("the one who looks");
            Ok((took?, looks?))
        })
    }

    fn push(&self, key: &str, moment: Option<Duration>) -> Result<Option<Duration>, Violation> {
        let mut command = self.subject.command(["push", &self.list, &self.target(), "--sign-key", key]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start it: {error}"));
        let mut has_ended = || child.try_wait().expect("the state of a child").is_some();
        while !has_ended() && moment.is_none_or(|moment| begun.elapsed() < moment) {
            thread::sleep(Duration::from_millis(1));
        }
        let took = begun.elapsed();
        child.kill().expect("a child can be killed");
        let output = child.wait_with_output().expect("the output of a child");
        let said = String::from_utf8_lossy(&output.stderr);
        ensure(output.status.success() || output.status.code().is_none(), || {
            format!("it failed without need: {}\n{said}", output.status)
        })?;
        Ok(output.status.success().then_some(took))
    }

    /// Goes on where something is left to do, and looks at the whole.
    fn finish(&self, key: &str, is_done: bool) -> Result<(), Violation> {
        if !is_done {
            let ran = self.subject.run(["push", "--resume", &self.list, "--sign-key", key]);
            // One that was killed before anything was written down, or after, cannot be resumed.
            ensure(matches!(ran.code, Some(0 | 3)), || format!("{ran:?}"))?;
            if ran.code == Some(3) {
                self.subject.done(["push", &self.list, &self.target(), "--sign-key", key])?;
            }
        }
        ensure(self.means_the_list(), || format!("{TAG} does not mean the list"))?;
        for digest in &self.digests {
            let signatures = self.signatures(digest);
            ensure(signatures == 1, || format!("{digest} has {signatures} signatures"))?;
        }
        self.tag_came_last()
    }

    /// The registry has written the tag after all signatures.
    fn tag_came_last(&self) -> Result<(), Violation> {
        let path = |reference: &str| format!("/v2/{}/manifests/{reference}", self.repository);
        let requests = self.registry.requests();
        let puts: Vec<&str> = requests
            .iter()
            .filter(|line| line.method == Method::Put && line.status == 201)
            .map(|line| line.target.as_str())
            .collect();
        let tag = puts.iter().position(|target| *target == path(TAG));
        for digest in &self.digests {
            let signed = puts.iter().position(|target| *target == path(&attachment(digest)));
            ensure(signed.is_some() && signed < tag, || {
                format!("{digest} was signed after {TAG}: {puts:?}")
            })?;
        }
        Ok(())
    }

    fn is_signed_where_it_is_public(&self) -> Result<(), Violation> {
        if !self.means_the_list() {
            return Ok(());
        }
        for digest in &self.digests {
            ensure(self.signatures(digest) > 0, || {
                format!("{TAG} means the list, and {digest} is not signed")
            })?;
        }
        Ok(())
    }

    fn means_the_list(&self) -> bool {
        self.get(TAG).header("docker-content-digest") == self.digests.last().map(String::as_str)
    }

    fn signatures(&self, digest: &str) -> usize {
        let answer = self.get(&attachment(digest));
        let manifest: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        manifest["layers"].as_array().map_or(0, Vec::len)
    }

    fn get(&self, reference: &str) -> HttpAnswer {
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
        let target = format!("/v2/{}/manifests/{reference}", self.repository);
        Http::to(&self.registry.address()).get(&target, &[("accept", accept)])
    }
}

/// The tag of the signatures of a manifest.
fn attachment(digest: &str) -> String {
    format!("{}.sig", digest.replace(':', "-"))
}
