//! A list of two images in Debian's registry, a lookaside store, and keys.

use std::path::PathBuf;
use std::process::Command;

use manifest_testkit::{DockerRegistry, Http, Image, Index, Ran, Workspace, program};
use serde_json::Value;

use crate::gnupg::Gnupg;

const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");

pub struct Scene {
    pub workspace: Workspace,
    pub registry: DockerRegistry,
    pub gnupg: Gnupg,
}

/// What is in the registry under a digest or tag.
pub struct Found {
    pub bytes: Vec<u8>,
    pub digest: String,
    pub json: Value,
}

impl Scene {
    /// The list `app` in the store; its images lie in the repository `source`.
    pub fn new() -> Self {
        let (workspace, registry) = (Workspace::new(), DockerRegistry::plain());
        let yaml = format!(
            "default-docker:\n  lookaside: file://{}\n",
            workspace.path().join("lookaside").display()
        );
        workspace.write("home/.config/containers/registries.d/default.yaml", yaml);
        let images =
            [Image::new("linux/amd64").layers(1, 1000, 1), Image::new("linux/arm64").layers(1, 1000, 2)];
        Index::of(&[&images[0], &images[1]]).push_http(&registry.address(), "source", "v1");
        let gnupg = Gnupg::new(&workspace);
        let scene = Self { workspace, registry, gnupg };
        scene.ok(&format!("create app --all docker://{}/source:v1", scene.registry.address()));
        scene
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = self.workspace.command(MANIFEST);
        command.args(line.split_whitespace()).env("GNUPGHOME", self.gnupg.home());
        command
    }

    pub fn run(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(line))
    }

    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        self.run(line).ok().to_owned()
    }

    /// A reference in the registry.
    pub fn at(&self, what: &str) -> String {
        format!("{}/{what}", self.registry.address())
    }

    pub fn openssl(&self, arguments: &str) -> Ran {
        Ran::of(self.workspace.command(program("openssl")).args(arguments.split_whitespace()))
    }

    /// The list under a tag, and before it the images in it.
    pub fn all(&self, repository: &str, tag: &str) -> Vec<Found> {
        let list = self.manifest(repository, tag);
        let entries = list.json["manifests"].as_array().unwrap().clone();
        let entries =
            entries.iter().map(|entry| self.manifest(repository, entry["digest"].as_str().unwrap()));
        entries.chain([list]).collect()
    }

    #[track_caller]
    pub fn manifest(&self, repository: &str, reference: &str) -> Found {
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = Http::to(&self.registry.address()).get(&path, &[("accept", accept)]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let digest = answer.header("docker-content-digest").unwrap().to_owned();
        let json = serde_json::from_slice(&answer.body).unwrap();
        Found { bytes: answer.body, digest, json }
    }

    #[track_caller]
    pub fn blob(&self, repository: &str, digest: &str) -> Vec<u8> {
        let answer = Http::to(&self.registry.address()).get(&format!("/v2/{repository}/blobs/{digest}"), &[]);
        assert_eq!(answer.status, 200, "{digest}");
        answer.body
    }

    /// The simple signatures of a manifest, in the order of their numbers.
    pub fn simple(&self, repository: &str, digest: &str) -> Vec<PathBuf> {
        let directory = format!("lookaside/{repository}@{}", digest.replace(':', "="));
        let file = |n: usize| self.workspace.path().join(&directory).join(format!("signature-{n}"));
        (1..).map(file).take_while(|file| file.exists()).collect()
    }
}
