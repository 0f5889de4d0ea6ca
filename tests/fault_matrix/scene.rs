//! A registry that is real, a proxy with faults in front of it, and a push of two images over a tag that is there.

use manifest_core::{Digest, MediaType};
use manifest_testkit::{DockerRegistry, FakeRegistry, FaultyProxy, Http, Image, Ran};

use crate::in_process::Cli;

/// What all pushes share: the registry of the images, and that to which they go.
pub struct Bench {
    here: FakeRegistry,
    there: DockerRegistry,
}

/// One push to a repository of its own.
pub struct Scene<'a> {
    bench: &'a Bench,
    drafts: &'a Cli,
    pub proxy: FaultyProxy,
    repository: String,
    old: Digest,
}

fn images() -> [Image; 2] {
    [Image::new("linux/amd64").layers(1, 70_000, 1), Image::new("linux/arm64").layers(1, 70_000, 2)]
}

fn old() -> Image {
    Image::new("linux/amd64")
}

impl Bench {
    pub fn start() -> Self {
        let (here, there) = (FakeRegistry::start(), DockerRegistry::plain());
        for (at, image) in images().iter().enumerate() {
            image.push_to(&here, "app", &format!("v{at}"));
        }
        Self { here, there }
    }

    /// A store with the draft `app` of both images.
    pub fn drafts(&self) -> Cli {
        let cli = Cli::new();
        let here = self.here.address();
        cli.ok(&format!("create app docker://{here}/app:v0 docker://{here}/app:v1"));
        cli
    }
}

impl<'a> Scene<'a> {
    pub fn new(bench: &'a Bench, drafts: &'a Cli, repository: &str) -> Self {
        let old = old().push_http(&bench.there.address(), repository, "1.0");
        let proxy = FaultyProxy::to(&bench.there.address());
        Self { bench, drafts, proxy, repository: repository.to_owned(), old }
    }

    /// Pushes one step after the other, so that the same request is the same one in each run.
    pub fn push(&self) -> Ran {
        let to = format!("docker://{}/{}:1.0", self.proxy.address(), self.repository);
        self.drafts.run(&format!("push --jobs 1 --retry-delay 1ms --output json app {to}"))
    }

    fn read(&self, what: &str) -> Result<Vec<u8>, String> {
        let accept = format!("{}, {}", MediaType::OCI_INDEX, MediaType::OCI_MANIFEST);
        let target = format!("/v2/{}/{what}", self.repository);
        let answer = Http::to(&self.bench.there.address()).get(&target, &[("accept", &accept)]);
        if answer.status == 200 { Ok(answer.body) } else { Err(format!("{what}: {answer:?}")) }
    }

    fn tag(&self) -> Result<Vec<u8>, String> {
        self.read("manifests/1.0")
    }

    /// The list is there with all that it names, to the byte.
    pub fn published(&self) -> Result<(), String> {
        let list = self.drafts.ok("inspect --raw app");
        if self.tag()? != list.as_bytes() {
            return Err("the tag is not the list".to_owned());
        }
        for image in images() {
            if self.read(&format!("manifests/{}", image.digest()))? != image.manifest() {
                return Err(format!("{} is something else", image.digest()));
            }
            for blob in image.blobs() {
                if self.read(&format!("blobs/{}", blob.digest))? != blob.bytes {
                    return Err(format!("{} is something else", blob.digest));
                }
            }
        }
        Ok(())
    }

    pub fn unmoved(&self) -> Result<(), String> {
        let now = Digest::sha256(&self.tag()?);
        if now == self.old { Ok(()) } else { Err(format!("the tag moved to {now}")) }
    }
}
