//! Pushes are killed at random moments, and then resumed or taken back.
//!
//! A list of two images goes to two registries and four tags, two of which were there before. After `--resume` both registries
//! have everything, all four tags mean the list, and no blob that had arrived before was sent once more; after
//! `--abort` each tag that was there is where it was. The registries are Debian's, which delete no tags, so that a new tag which
//! had moved stays, and must be named. What they were doing when the push was killed they do to the end, so the next
//! command comes a moment later.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::chance::Chance;
use super::{Proved, Subject, Violation, ensure};
use crate::{DockerRegistry, Http, HttpAnswer, Image, Method};

/// One of so many pushes is left alone, to know what is usual.
const LEFT_ALONE: usize = 9;
/// Which part of a push has gone by when it is late.
const LATE: f64 = 0.75;
/// How much longer than usual a push may be left alone before it is killed.
const SLACK: f64 = 1.1;
/// How long a registry may go on with what it was doing.
const AFTER: Duration = Duration::from_millis(150);
/// The tags at each registry: one that is there before each push, and one that is new.
const TAGS: [&str; 2] = ["stable", "new"];
/// The size of each layer, in bytes.
const LAYER: usize = 600_000;

/// How many pushes are killed.
#[derive(Clone, Copy, Debug)]
pub struct Publish {
    /// How many pushes are killed; others are done before that.
    pub rounds: usize,
    /// Where chance begins.
    pub seed: u64,
}

/// What became of the pushes.
#[derive(Debug, Default)]
struct Tally {
    /// Those that were done before they were killed.
    done: usize,
    /// Those that were killed before anything was written down.
    unbegun: usize,
    resumed: usize,
    aborted: usize,
    /// In which phase they were killed: content, tags.
    phases: [usize; 2],
    /// Blobs that had arrived when a push was killed.
    arrived: usize,
    /// New tags that stayed after an abort.
    stayed: usize,
}

impl Tally {
    const fn killed(&self) -> usize {
        self.unbegun + self.phases[0] + self.phases[1]
    }
}

/// Proves that a push that is killed ends as one that is not, or is taken back (DUR-23).
///
/// # Errors
/// The first broken promise.
///
/// # Panics
/// If a registry does not start, or files cannot be written.
pub fn publish(subject: &Subject, size: &Publish) -> Proved {
    let registries = [DockerRegistry::plain(), DockerRegistry::plain()];
    let mut chance = Chance::new(size.seed);
    let (mut tally, mut usual) = (Tally::default(), Duration::ZERO);
    let begun = Instant::now();
    for round in 0.. {
        if tally.killed() >= size.rounds {
            break;
        }
        let push = Push::prepare(subject, &registries, round)?;
        // Tags move late, so that half of the pushes are killed late.
        let late = if chance.below(2) == 0 { Duration::ZERO } else { usual.mul_f64(LATE) };
        // Some are left alone, to know what is usual; the very first of all is slow.
        let alone = round < 2 || round.is_multiple_of(LEFT_ALONE);
        let moment = (!alone).then(|| late + chance.within(usual.mul_f64(SLACK).saturating_sub(late)));
        let told = |violation: Violation| {
            Violation::new(format!(
                "round {round} (seed {}), killed after {moment:?}: {violation}",
                size.seed
            ))
        };
        let took = push.run(moment, round, &mut tally).map_err(told)?;
        if let Some(took) = took.filter(|_| alone) {
            usual = if round < 2 { took } else { (usual * 3 + took) / 4 };
        }
    }
    let killed = tally.killed();
    let Tally { done, unbegun, resumed, aborted, phases: [content, tags], arrived, stayed } = tally;
    Ok(format!(
        "{killed} pushes to two registries and four tags killed (seed {}; one takes {:.0} ms; {done} more were done before): \
         {unbegun} before they began, {content} while content went, {tags} while tags moved; {resumed} resumed, everything there \
         and none of {arrived} blobs sent twice; {aborted} taken back, every tag that existed where it was, {stayed} new tags \
         that stayed named; {:.1} s",
        size.seed,
        usual.as_secs_f64() * 1e3,
        begun.elapsed().as_secs_f64()
    ))
}

/// One push of a list of its own, to repositories of its own.
struct Push<'a> {
    subject: &'a Subject,
    registries: &'a [DockerRegistry; 2],
    repository: String,
    list: String,
    digest: String,
    images: [Image; 2],
    /// What the tags that exist mean before.
    old: String,
}

impl<'a> Push<'a> {
    fn prepare(
        subject: &'a Subject,
        registries: &'a [DockerRegistry; 2],
        round: usize,
    ) -> Result<Self, Violation> {
        let layout = subject.scratch().join(format!("images-{round}"));
        let image = |platform: &str, number: usize| {
            Image::new(platform).layers(2, LAYER, (round * 2 + number) as u64)
        };
        let images = [image("linux/amd64", 0), image("linux/arm64", 1)];
        let (repository, list) = (format!("app{round}"), format!("app:{round}"));
        for (image, name) in images.iter().zip(["a", "b"]) {
            image.write_layout(&layout, name);
        }
        let named = |name: &str| format!("oci:{}:{name}", layout.display());
        subject.done(["create", &list, &named("a"), &named("b")])?;
        let old = Image::new("linux/amd64").layer(format!("old {round}"));
        for registry in registries {
            old.push_http(&registry.address(), &repository, TAGS[0]);
        }
        let digest = text(&subject.result(&["inspect", &list])?["document"]["digest"]);
        let old = old.digest().to_string();
        Ok(Self { subject, registries, repository, list, digest, images, old })
    }

    /// Pushes, and ends or takes back what is left of it; how long it took, if it was done.
    fn run(
        &self,
        moment: Option<Duration>,
        round: usize,
        tally: &mut Tally,
    ) -> Result<Option<Duration>, Violation> {
        let took = self.push(moment)?;
        let shown = self.subject.result(&["publications"])?;
        let newest =
            shown["publications"].as_array().and_then(|all| all.first().cloned()).unwrap_or_default();
        let phase = text(&newest["phase"]);
        let is_ours = newest["digest"] == self.digest.as_str();
        if took.is_some() || (is_ours && phase == "done") {
            tally.done += 1;
            self.is_complete()?;
        } else if !is_ours {
            tally.unbegun += 1;
            self.is_back(&BTreeSet::new())?;
            let ran = self.subject.run(["push", "--resume", &self.list]);
            ensure(ran.code == Some(3), || format!("there is nothing to resume\n{ran:?}"))?;
        } else {
            let at = ["content", "tags"].iter().position(|known| *known == phase);
            let at = at.ok_or_else(|| Violation::new(format!("it is in the phase {phase}")))?;
            tally.phases[at] += 1;
            std::thread::sleep(AFTER);
            if round.is_multiple_of(2) { self.resume(tally)? } else { self.abort(tally)? }
        }
        std::fs::remove_dir_all(self.subject.scratch().join(format!("images-{round}")))
            .expect("files of a round");
        self.subject.done(["rm", &self.list])?;
        Ok(took)
    }

    /// Pushes, to the end or to a violent one; how long it took, if it was done.
    fn push(&self, moment: Option<Duration>) -> Result<Option<Duration>, Violation> {
        let target = |registry: &DockerRegistry| {
            format!("docker://{}/{}:{}", registry.address(), self.repository, TAGS.join(","))
        };
        let [one, two] = self.registries.each_ref().map(target);
        let mut command = self.subject.command(["push", &self.list, &one, &two, "--allow-shrink"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start it: {error}"));
        let has_ended = |child: &mut Child| child.try_wait().expect("the state of a child").is_some();
        while !has_ended(&mut child) && moment.is_none_or(|moment| begun.elapsed() < moment) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let took = begun.elapsed();
        // One that has ended is left alone.
        child.kill().expect("a child can be killed");
        let output = child.wait_with_output().expect("the output of a child");
        let said = String::from_utf8_lossy(&output.stderr);
        ensure(output.status.success() || output.status.code().is_none(), || {
            format!("it failed without need: {}\n{said}", output.status)
        })?;
        Ok(output.status.success().then_some(took))
    }

    fn resume(&self, tally: &mut Tally) -> Result<(), Violation> {
        let arrived = self.sent();
        self.subject.done(["push", "--resume", &self.list])?;
        self.is_complete()?;
        let sent = self.sent();
        for blob in &arrived {
            let times = sent.iter().filter(|sent| *sent == blob).count();
            ensure(times == 1, || format!("{blob:?} had arrived and was sent {times} times"))?;
        }
        let record = &self.subject.result(&["inspect", &self.list])?["list"];
        ensure(record["pushed"]["digest"] == self.digest.as_str(), || format!("not noted: {record}"))?;
        tally.arrived += arrived.len();
        tally.resumed += 1;
        Ok(())
    }

    fn abort(&self, tally: &mut Tally) -> Result<(), Violation> {
        let result = self.subject.result(&["push", "--abort", &self.list])?;
        let tags = result["tags"].as_array().cloned().unwrap_or_default();
        let stays = tags.iter().filter(|tag| tag.get("stays").is_some());
        let stays: BTreeSet<String> = stays.map(|tag| text(&tag["tag"])).collect();
        tally.stayed += stays.len();
        tally.aborted += 1;
        self.is_back(&stays)?;
        let ran = self.subject.run(["push", "--resume", &self.list]);
        ensure(ran.code == Some(3), || format!("what was taken back is not resumed\n{ran:?}"))
    }

    /// Both registries have everything, and all four tags mean the list.
    fn is_complete(&self) -> Result<(), Violation> {
        let last = self.subject.result(&["publications"])?["publications"][0].clone();
        ensure(last["phase"] == "done", || format!("it is done, but not written down: {last}"))?;
        for registry in self.registries {
            for tag in TAGS {
                let found = self.tag(registry, tag);
                ensure(found.as_deref() == Some(&*self.digest), || {
                    format!("{tag} at {} means {found:?}", registry.address())
                })?;
            }
            let manifests = self.images.iter().map(|image| format!("manifests/{}", image.digest()));
            let blobs =
                self.images.iter().flat_map(Image::blobs).map(|blob| format!("blobs/{}", blob.digest));
            let list = std::iter::once(format!("manifests/{}", self.digest));
            for path in manifests.chain(blobs).chain(list) {
                let status = self.head(registry, &path).status;
                ensure(status == 200, || format!("{path} at {}: {status}", registry.address()))?;
            }
        }
        Ok(())
    }

    /// Every tag that existed is where it was, and new ones are not there but for those that were named.
    fn is_back(&self, stays: &BTreeSet<String>) -> Result<(), Violation> {
        for registry in self.registries {
            let old = self.tag(registry, TAGS[0]);
            ensure(old.as_deref() == Some(&*self.old), || format!("{} means {old:?}", TAGS[0]))?;
            let (new, name) = (
                self.tag(registry, TAGS[1]),
                format!("docker://{}/{}:{}", registry.address(), self.repository, TAGS[1]),
            );
            ensure(new.is_some() == stays.contains(&name), || {
                format!("{name} means {new:?}, and {stays:?}")
            })?;
        }
        Ok(())
    }

    fn tag(&self, registry: &DockerRegistry, tag: &str) -> Option<String> {
        self.head(registry, &format!("manifests/{tag}")).header("docker-content-digest").map(str::to_owned)
    }

    fn head(&self, registry: &DockerRegistry, path: &str) -> HttpAnswer {
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
        let target = format!("/v2/{}/{path}", self.repository);
        Http::to(&registry.address()).send("HEAD", &target, &[("accept", accept)], b"")
    }

    /// The blobs of this push that each registry has taken so far, as often as it did.
    fn sent(&self) -> Vec<(String, String)> {
        let uploads = format!("/v2/{}/blobs/uploads/", self.repository);
        let of = |registry: &DockerRegistry| {
            let taken = registry.requests().into_iter().filter(|line| {
                line.method == Method::Put && line.status == 201 && line.target.starts_with(&uploads)
            });
            let address = registry.address();
            let digest = |target: &str| target.split("digest=").nth(1).map(|rest| rest.replace("%3A", ":"));
            let ours: BTreeSet<String> =
                self.images.iter().flat_map(Image::blobs).map(|blob| blob.digest.to_string()).collect();
            let digests = taken.filter_map(move |line| digest(&line.target));
            let digests = digests.map(|digest| digest.split('&').next().unwrap_or_default().to_owned());
            digests
                .filter(|digest| ours.contains(digest))
                .map(|digest| (address.clone(), digest))
                .collect::<Vec<_>>()
        };
        self.registries.iter().flat_map(of).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
