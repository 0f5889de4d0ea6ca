//! What is measured as one: programs that run one after the other.
//!
//! The system counts the memory of whoever starts a program as that program's own until it is loaded. So
//! the benchmark, which holds images and registries, starts a small copy of itself that starts the programs.

use std::any::Any;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wait4::Wait4 as _;

use crate::asked::MEASURE;

/// Programs that run one after the other.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Job {
    steps: Vec<Step>,
    /// Directories that must exist as long as it runs.
    #[serde(skip)]
    kept: Option<Box<dyn Any>>,
}

/// One program: its path, its arguments, its whole environment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// What a job cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// From the start of the first program to the end of the last.
    pub(crate) wall: Duration,
    /// User and system time of all, with what they started and waited for.
    pub(crate) cpu: Duration,
    /// The largest memory that one process had in use, in bytes.
    pub(crate) peak: u64,
}

/// A program of a job that did not succeed.
#[derive(Clone, Debug)]
pub(crate) struct Failed(pub(crate) String);

impl From<&mut Command> for Step {
    /// The command with nothing in its environment but what was set for it.
    fn from(command: &mut Command) -> Self {
        let text = |word: &std::ffi::OsStr| word.to_str().expect("words in UTF-8").to_owned();
        let set = command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?))));
        Self {
            program: text(command.get_program()),
            arguments: command.get_args().map(text).collect(),
            environment: set.collect(),
        }
    }
}

impl Job {
    pub(crate) fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), kept: None }
    }

    /// Keeps a value as long as the job.
    pub(crate) fn keeping(self, value: impl Any) -> Self {
        Self { kept: Some(Box::new(value)), ..self }
    }

    /// Runs the job and measures it.
    pub(crate) fn measure(self) -> Result<Cost, Failed> {
        let mut child = Command::new(std::env::current_exe().expect("the path of this program"))
            .arg(MEASURE)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program, started again");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(&serde_json::to_vec(&self).expect("a job as JSON")).expect("a job in a pipe");
        drop(input);
        let output = child.wait_with_output().expect("the end of a child");
        drop(self.kept);
        serde_json::from_slice(&output.stdout).map_err(|_invalid| {
            let said = String::from_utf8_lossy(&output.stderr);
            Failed(said.lines().last().unwrap_or("it said nothing").to_owned())
        })
    }
}

/// Runs the job on stdin and prints its cost; what the programs write to stderr goes to ours.
pub(crate) fn measure_what_stdin_says() {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).expect("a job on stdin");
    let job: Job = serde_json::from_slice(&input).expect("a job in JSON");
    let (begun, mut cpu, mut peak) = (Instant::now(), Duration::ZERO, 0);
    for step in &job.steps {
        let mut command = Command::new(&step.program);
        command.args(&step.arguments).env_clear().envs(step.environment.iter().cloned());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a child");
        let used = child.wait4().expect("the end of a child");
        if !used.status.success() {
            return;
        }
        cpu += used.rusage.utime + used.rusage.stime;
        peak = peak.max(used.rusage.maxrss);
    }
    let cost = Cost { wall: begun.elapsed(), cpu, peak };
    println!("{}", serde_json::to_string(&cost).expect("a cost as JSON"));
}
