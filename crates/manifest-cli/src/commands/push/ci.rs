//! `--ci-output`: what was pushed, in the files by which the jobs of GitHub and GitLab tell each other.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use manifest_core::Digest;
use manifest_publish::Published;
use manifest_transport::Location;

use super::target::Named;
use crate::environment::Environment;
use crate::error::CliError;
use crate::outputfile::OutputFile;

/// The file for GitLab when none is named.
const DOTENV: &str = "manifest.env";

/// Whose files are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CiOutput {
    /// Those of the service that this runs on, if it is one of the two.
    Auto,
    /// `$GITHUB_OUTPUT` and `$GITHUB_STEP_SUMMARY`.
    Github,
    /// A dotenv file.
    Gitlab(PathBuf),
}

/// Reads `github`, `gitlab`, `gitlab=FILE` or `auto`.
pub(super) fn ci_output(text: &str) -> Result<CiOutput, String> {
    match text.split_once('=') {
        None if text == "auto" => Ok(CiOutput::Auto),
        None if text == "github" => Ok(CiOutput::Github),
        None if text == "gitlab" => Ok(CiOutput::Gitlab(DOTENV.into())),
        Some(("gitlab", file)) if !file.is_empty() => Ok(CiOutput::Gitlab(file.into())),
        _ => Err("it is github, gitlab, gitlab=FILE or auto".to_owned()),
    }
}

/// Files that wait for what is pushed.
#[derive(Debug, Default)]
pub(super) struct CiFiles {
    outputs: Option<Appended>,
    summary: Option<Appended>,
    dotenv: Option<OutputFile>,
}

impl CiFiles {
    /// Finds out which files are meant, and whether they can be written.
    pub(super) fn prepare(wanted: &CiOutput, environment: &Environment) -> Result<Self, CliError> {
        let is_on = |name| environment.get(name).is_some_and(|value| value == "true");
        match wanted {
            CiOutput::Gitlab(file) => Self::gitlab(file),
            CiOutput::Github if environment.get("GITHUB_OUTPUT").is_none() => Err(CliError::Misuse(
                "--ci-output github needs $GITHUB_OUTPUT, which is not set".to_owned(),
                "--ci-output auto writes nothing where no such service runs the command",
            )),
            CiOutput::Github => Self::github(environment),
            CiOutput::Auto if is_on("GITHUB_ACTIONS") => Self::github(environment),
            CiOutput::Auto if is_on("GITLAB_CI") => Self::gitlab(Path::new(DOTENV)),
            CiOutput::Auto => Ok(Self::default()),
        }
    }

    fn github(environment: &Environment) -> Result<Self, CliError> {
        let file = |name| environment.path(name).map(Appended::prepare).transpose();
        let (outputs, summary) = (file("GITHUB_OUTPUT")?, file("GITHUB_STEP_SUMMARY")?);
        Ok(Self { outputs, summary, dotenv: None })
    }

    fn gitlab(file: &Path) -> Result<Self, CliError> {
        Ok(Self { dotenv: Some(OutputFile::prepare(file)?), ..Self::default() })
    }

    /// Writes what was pushed; `metadata` is one line of JSON.
    pub(super) fn write(
        self,
        digest: &str,
        (named, published): (&[Named], &Published),
        metadata: &str,
    ) -> Result<(), CliError> {
        let done: Vec<&Named> =
            named.iter().zip(published).filter(|(_, done)| done.is_ok()).map(|(to, _)| to).collect();
        let image = done.iter().find_map(|to| image(to, digest));
        let tags: Vec<String> = done.iter().flat_map(|to| tags(to)).collect();
        if let Some(file) = self.outputs {
            let lines = [("digest", digest), ("tags", &tags.join("\n")), ("metadata", metadata)];
            let image = image.as_deref().map(|image| ("image", image));
            file.append(&lines.into_iter().chain(image).map(output).collect::<String>())?;
        }
        if let Some(file) = self.summary {
            file.append(&table(&done, digest))?;
        }
        if let Some(file) = self.dotenv {
            let image = image.unwrap_or_default();
            // No quotes and no escapes exist there; references and digests need none.
            let tags = tags.join(" ");
            file.write(&format!("MANIFEST_DIGEST={digest}\nMANIFEST_IMAGE={image}\nMANIFEST_TAGS={tags}\n"))?;
        }
        Ok(())
    }
}

/// A file to which others have written, too.
#[derive(Debug)]
struct Appended {
    path: PathBuf,
    file: File,
}

impl Appended {
    fn prepare(path: PathBuf) -> Result<Self, CliError> {
        match File::options().append(true).create(true).open(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(CliError::File("write", path, error)),
        }
    }

    fn append(mut self, text: &str) -> Result<(), CliError> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| CliError::File("write what the push brought to", self.path, error))
    }
}

/// An output as GitHub reads it: its lines stand between two equal ones, which are made of its own hash, so that nothing
/// in it can end it.
fn output((name, value): (&str, &str)) -> String {
    let end = format!("manifest_{}", Digest::sha256(value.as_bytes()).hex());
    format!("{name}<<{end}\n{value}\n{end}\n")
}

/// The image by its digest, where it is in a registry.
fn image(to: &Named, digest: &str) -> Option<String> {
    let Location::Registry(reference) = &to.location else { return None };
    Some(format!("{}@{digest}", reference.repository()))
}

/// The tags with their repository.
fn tags(to: &Named) -> Vec<String> {
    let Location::Registry(reference) = &to.location else { return Vec::new() };
    to.tags.iter().map(|tag| format!("{}:{tag}", reference.repository())).collect()
}

/// A table in Markdown.
fn table(done: &[&Named], digest: &str) -> String {
    let mut text = "| pushed to | digest |\n| --- | --- |\n".to_owned();
    for to in done {
        text.push_str(&format!("| {} | `{digest}` |\n", plain(&to.to_string())));
    }
    text + "\n"
}

/// Text that Markdown and HTML leave alone.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if c.is_control() => plain.push('\u{fffd}'),
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | ':' | '/' | '-' | ',' | ' ' => plain.push(c),
            _ => plain.push_str(&format!("&#{};", u32::from(c))),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_ends_it() {
        let value = "a\nmanifest_0\nimage<<x\nevil\nx";
        let text = output(("tags", value));
        let (first, rest) = text.split_once('\n').unwrap();
        let end = first.strip_prefix("tags<<").unwrap();
        assert_eq!(rest, format!("{value}\n{end}\n"));
        assert!(!value.contains(end));
    }

    #[test]
    fn a_table_holds_no_markup_of_others() {
        assert_eq!(plain("oci:/a|b\n<img>`_@"), "oci:/a&#124;b\u{fffd}&#60;img&#62;&#96;&#95;&#64;");
    }

    #[test]
    fn what_is_meant_is_read() {
        assert_eq!(ci_output("gitlab"), Ok(CiOutput::Gitlab("manifest.env".into())));
        assert_eq!(ci_output("gitlab=out/x.env"), Ok(CiOutput::Gitlab("out/x.env".into())));
        for text in ["", "jenkins", "gitlab=", "github=x"] {
            assert!(ci_output(text).is_err(), "{text}");
        }
    }
}
