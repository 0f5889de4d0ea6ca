//! The program under proof and the store it works on.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;

use super::{Violation, ensure};
use crate::{Azurite, Moto, Ran, Workspace};

/// Variables that say how a bucket is reached; they are passed on to the program.
const CLOUDS: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// The bucket of a store in an emulator.
const BUCKET: &str = "lists";

/// The program under proof, and the store it works on.
#[derive(Clone, Debug)]
pub struct Subject {
    program: PathBuf,
    store: OsString,
    local: Option<PathBuf>,
    variables: Vec<(OsString, OsString)>,
    workspace: Arc<Workspace>,
    /// The emulator of a cloud that the store lies in.
    _service: Option<Arc<dyn Debug + Send + Sync>>,
}

impl Subject {
    /// The program with a new store in a temporary directory.
    ///
    /// # Panics
    /// If there is no such program.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        let program = program.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let workspace = Arc::new(Workspace::new());
        Self {
            program,
            variables: Vec::new(),
            workspace,
            store: OsString::new(),
            local: None,
            _service: None,
        }
        .with_directory(None)
    }

    fn with_directory(mut self, dir: Option<PathBuf>) -> Self {
        let dir = dir.unwrap_or_else(|| self.workspace.store());
        self.store = dir.clone().into_os_string();
        self.local = Some(dir);
        self
    }

    /// The same program with the store at this place, which the program understands: a directory, or the URL of a
    /// bucket; the variables that say how clouds are reached are those of this process.
    pub fn at(self, store: &OsStr) -> Self {
        if !store.to_string_lossy().contains("://") {
            return self.with_directory(Some(PathBuf::from(store)));
        }
        let cloud = |name: &OsString| CLOUDS.iter().any(|cloud| name.to_string_lossy().starts_with(cloud));
        let variables = std::env::vars_os().filter(|(name, _)| cloud(name));
        Self { store: store.to_owned(), local: None, variables: variables.collect(), ..self }
    }

    /// The same program with a store in a bucket of an emulator, which ends with the last copy of the subject.
    ///
    /// # Panics
    /// If the emulator is not installed or does not come up.
    pub fn in_amazon(self) -> Self {
        let moto = Moto::start();
        moto.create_container(BUCKET);
        let variables = moto.environment();
        self.in_cloud(&format!("s3://{BUCKET}/store"), variables, Arc::new(moto))
    }

    /// The same in a container of Azure's storage.
    ///
    /// # Panics
    /// If the emulator is not installed or does not come up.
    pub fn in_azure(self) -> Self {
        let azurite = Azurite::start();
        azurite.create_container(BUCKET);
        let variables = azurite.environment();
        self.in_cloud(&format!("az://{BUCKET}/store"), variables, Arc::new(azurite))
    }

    fn in_cloud(
        self,
        url: &str,
        variables: Vec<(String, String)>,
        service: Arc<dyn Debug + Send + Sync>,
    ) -> Self {
        let subject = Self { _service: Some(service), ..self.at(OsStr::new(url)) };
        variables.into_iter().fold(subject, |subject, (name, value)| subject.with_variable(name, value))
    }

    /// The same program with one more variable in its environment.
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// The directory of the store, unless it is a bucket.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.local.as_deref()
    }

    /// A directory for what else a proof needs; it goes away with the last copy of the subject.
    pub(super) fn scratch(&self) -> &Path {
        self.workspace.path()
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The program with these arguments.
    pub(super) fn command<I>(&self, words: I) -> Command
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.command_of([self.program.as_os_str()], words)
    }

    /// The program with these arguments behind other words, such as `strace -f PROGRAM`.
    pub(super) fn command_of<'a, I>(&self, before: impl IntoIterator<Item = &'a OsStr>, words: I) -> Command
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut before = before.into_iter();
        let mut command = self.workspace.command(before.next().unwrap_or(self.program.as_os_str()));
        command.args(before).env("MANIFEST_STORE", &self.store).args(words);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program to its end.
    pub(super) fn run<I>(&self, words: I) -> Ran
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        Ran::of(&mut self.command(words))
    }

    /// Runs the program, which has no reason to fail.
    pub(super) fn done<I>(&self, words: I) -> Result<String, Violation>
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let ran = self.run(words);
        ensure(ran.code == Some(0), || format!("a command that nothing hindered failed\n{ran:?}"))?;
        Ok(ran.stdout)
    }

    /// Runs the program and reads its result.
    pub(super) fn result(&self, words: &[&str]) -> Result<Value, Violation> {
        let text = self.done(["--output", "json"].iter().chain(words))?;
        serde_json::from_str(&text)
            .map_err(|error| Violation::new(format!("{words:?} printed no JSON: {error}\n{text}")))
    }

    /// The verbs that the program has.
    pub(super) fn verbs(&self) -> BTreeSet<String> {
        let help = self.run(["help"]).stdout;
        let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let rows = lines.take_while(|line| !line.is_empty());
        // The words of a description that goes on stand further to the right.
        let verbs = rows.filter_map(|row| row.strip_prefix("  ")?.split(' ').next().map(str::to_owned));
        verbs.filter(|verb| !verb.is_empty()).collect()
    }
}
