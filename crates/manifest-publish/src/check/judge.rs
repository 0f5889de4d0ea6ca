//! Whether programs are built for the platform of their image.

use std::collections::BTreeMap;

use manifest_core::Platform;

use super::finding::{About, Finding};
use super::machine::{Machine, ProgramFormat};

/// A program in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Program {
    /// Its path in the image, without a slash in front.
    pub path: String,
    /// What it was built for.
    pub machine: Machine,
}

/// How a program and a platform go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fit {
    /// It was built for it.
    Runs,
    /// It was built for the smaller processor that this one can be, too: 386 on amd64.
    Smaller,
    /// It was built for another processor.
    Wrong,
    /// It has the format of another operating system.
    OtherSystem,
    /// Nothing is known here of programs for this architecture.
    Unknown,
}

/// The format that an operating system loads.
pub(super) fn format_of(os: &str) -> ProgramFormat {
    match os {
        "windows" => ProgramFormat::Pe,
        "darwin" | "ios" => ProgramFormat::MachO,
        _ => ProgramFormat::Elf,
    }
}

impl Fit {
    /// Tells how a program goes together with a platform.
    pub fn of(machine: &Machine, platform: &Platform) -> Self {
        let platform = platform.normalized();
        let is_for = |name: &str| machine.processors.iter().any(|processor| processor == name);
        match platform.architecture.as_str() {
            _ if machine.format != format_of(&platform.os) => Self::OtherSystem,
            architecture if is_for(architecture) => Self::Runs,
            "amd64" if is_for("386") || is_for("amd64p32") => Self::Smaller,
            // What runs in a browser is told apart by no header.
            "wasm" => Self::Unknown,
            _ if platform.is_of_known_architecture() => Self::Wrong,
            _ => Self::Unknown,
        }
    }
}

/// What is to be said of the programs of an image: one finding for all that were built for the same.
pub fn judge(programs: &[Program], platform: &Platform) -> Vec<Finding> {
    let mut groups: BTreeMap<(Fit, &Machine), Vec<String>> = BTreeMap::new();
    for program in programs {
        let fit = Fit::of(&program.machine, platform);
        groups.entry((fit, &program.machine)).or_default().push(program.path.clone());
    }
    let looked_at = groups.iter().filter(|((fit, _), _)| *fit != Fit::OtherSystem);
    let looked_at: usize = looked_at.map(|(_, files)| files.len()).sum();
    let mut findings = Vec::new();
    for ((fit, machine), files) in groups {
        let first = files.first().map(String::as_str).unwrap_or_default();
        let which = match files.len() {
            1 => format!("{first} is built for {machine}"),
            count if fit == Fit::OtherSystem => {
                format!("{count} files such as {first} are built for {machine}")
            }
            count => format!("{count} of {looked_at} programs, such as {first}, are built for {machine}"),
        };
        let finding = match fit {
            Fit::Runs | Fit::Unknown => continue,
            Fit::Wrong => Finding::fault(About::Program, format!("{which}, and the image is for {platform}")),
            Fit::Smaller => Finding::note(About::Program, format!("{which}, which {platform} runs, too")),
            Fit::OtherSystem => {
                Finding::note(About::Program, format!("{which}, which {} does not load", platform.os))
            }
        };
        findings.push(Finding { files, ..finding });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Severity;

    fn machine(format: ProgramFormat, processors: &[&str]) -> Machine {
        Machine { format, processors: processors.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_program_runs_where_it_was_built_for() {
        use Fit::{OtherSystem, Runs, Smaller, Unknown, Wrong};
        use ProgramFormat::{Elf, MachO, Pe};
        for (platform, format, processors, fit) in [
            ("linux/amd64", Elf, &["amd64"][..], Runs),
            ("linux/amd64/v3", Elf, &["amd64"], Runs),
            ("linux/amd64", Elf, &["386"], Smaller),
            ("linux/amd64", Elf, &["amd64p32"], Smaller),
            ("linux/386", Elf, &["amd64"], Wrong),
            ("linux/arm64", Elf, &["amd64"], Wrong),
            ("linux/arm64/v8", Elf, &["arm64"], Runs),
            ("linux/arm64", Elf, &["arm"], Wrong),
            ("linux/arm/v7", Elf, &["arm"], Runs),
            ("linux/arm/v6", Elf, &["arm64"], Wrong),
            ("linux/mips64le", Elf, &["mips64"], Wrong),
            ("linux/mipsle", Elf, &["mipsle"], Runs),
            ("linux/ppc64le", Elf, &["ppc64"], Wrong),
            ("linux/ppc64le", Elf, &["ppc64le"], Runs),
            ("linux/riscv64", Elf, &["riscv64"], Runs),
            ("linux/s390x", Elf, &["s390x"], Runs),
            ("linux/loong64", Elf, &["loong64"], Runs),
            ("linux/arm64", Elf, &["machine 50, 64 bits, little-endian"], Wrong),
            ("linux/vax", Elf, &["amd64"], Unknown),
            ("linux/amd64", Pe, &["amd64"], OtherSystem),
            ("linux/arm64", MachO, &["arm64"], OtherSystem),
            ("freebsd/amd64", Elf, &["amd64"], Runs),
            ("windows/amd64", Pe, &["amd64"], Runs),
            ("windows/amd64", Pe, &["386"], Smaller),
            ("windows/arm64", Pe, &["amd64"], Wrong),
            ("windows/amd64", Elf, &["amd64"], OtherSystem),
            ("darwin/arm64", MachO, &["amd64", "arm64"], Runs),
            ("darwin/arm64", MachO, &["amd64"], Wrong),
        ] {
            let found = Fit::of(&machine(format, processors), &platform.parse().unwrap());
            assert_eq!(found, fit, "{processors:?} ({format}) on {platform}");
        }
    }

    #[test]
    fn one_finding_tells_of_all_that_were_built_for_the_same() {
        let program = |path: &str, format, processor| Program {
            path: path.to_owned(),
            machine: machine(format, &[processor]),
        };
        let elf = |path, processor| program(path, ProgramFormat::Elf, processor);
        let programs = [
            elf("bin/sh", "arm64"),
            elf("usr/bin/app", "amd64"),
            elf("usr/bin/tool", "amd64"),
            elf("usr/bin/old", "386"),
            program("lib/a.exe", ProgramFormat::Pe, "amd64"),
        ];
        let told = |platform: &str| -> Vec<_> {
            let findings = judge(&programs, &platform.parse().unwrap());
            findings.into_iter().map(|f| (f.severity, f.what, f.files.len())).collect()
        };
        assert_eq!(
            told("linux/arm64"),
            [
                (Severity::Fault, "usr/bin/old is built for 386 (ELF), and the image is for linux/arm64".to_owned(), 1),
                (
                    Severity::Fault,
                    "2 of 4 programs, such as usr/bin/app, are built for amd64 (ELF), and the image is for linux/arm64"
                        .to_owned(),
                    2
                ),
                (Severity::Note, "lib/a.exe is built for amd64 (PE), which linux does not load".to_owned(), 1),
            ]
        );
        assert_eq!(
            told("linux/amd64").iter().map(|(severity, ..)| *severity).collect::<Vec<_>>(),
            [Severity::Note, Severity::Fault, Severity::Note]
        );
    }
}
