//! The arguments.

pub(crate) const USAGE: &str = "cargo xtask bench [--only a,b,c,d,e,f,g,h] [--runs N] [--small]";

/// What the process is to do.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Run one job and tell what it cost: the benchmark starts itself for that.
    Measure,
    /// `cargo test --benches` builds benchmarks and starts them too; they have nothing to say there.
    Nothing,
    /// Measure.
    Bench(Options),
}

/// What to measure, and how often.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) subjects: Vec<Subject>,
    /// Runs that count; one more goes before them.
    pub(crate) runs: usize,
    pub(crate) size: Size,
}

/// How much is made ready to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// What the goals are stated for.
    Full,
    /// A quick look whether everything works; its figures are no verdict.
    Small,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Authoring,
    Copying,
    Editing,
    Startup,
    Far,
    Wide,
    Large,
    Signing,
}

/// Each with its letter.
const SUBJECTS: [(&str, Subject); 8] = [
    ("a", Subject::Authoring),
    ("b", Subject::Copying),
    ("c", Subject::Editing),
    ("d", Subject::Startup),
    ("e", Subject::Far),
    ("f", Subject::Wide),
    ("g", Subject::Large),
    ("h", Subject::Signing),
];

pub(crate) const MEASURE: &str = "--measure";

impl Asked {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options =
            Options { subjects: SUBJECTS.map(|(_, subject)| subject).to_vec(), runs: 7, size: Size::Full };
        let (mut words, mut by_cargo) = (words, false);
        while let Some(word) = words.next() {
            match word.as_str() {
                MEASURE => return Ok(Self::Measure),
                "--bench" => by_cargo = true,
                "--small" => options.size = Size::Small,
                "--only" => options.subjects = subjects(&words.next().unwrap_or_default())?,
                "--runs" => {
                    let number = words.next().and_then(|text| text.parse().ok()).filter(|&runs| runs > 0);
                    options.runs = number.ok_or("--runs needs a whole number above 0")?;
                }
                other => return Err(format!("{other:?} is not understood")),
            }
        }
        Ok(if by_cargo { Self::Bench(options) } else { Self::Nothing })
    }
}

fn subjects(text: &str) -> Result<Vec<Subject>, String> {
    let subject = |letter| {
        let known = SUBJECTS.iter().find(|(known, _)| *known == letter);
        known
            .map(|(_, subject)| *subject)
            .ok_or_else(|| format!("there is no subject {letter:?}; there are a to h"))
    };
    text.split(',').map(subject).collect()
}
