//! What a push tells when it is done: to people, to programs and in files.

use manifest_publish::Published;

use super::Push;
use super::ci::CiFiles;
use super::report::Report;
use super::signed;
use super::target::Named;
use super::with;
use crate::carried::summary;
use crate::context::Context;
use crate::error::{CliError, chain};
use crate::outputfile::OutputFile;
use crate::ui::json_line;

/// The files in which a result is written down.
pub(super) struct Files {
    digest: Option<OutputFile>,
    metadata: Option<OutputFile>,
    ci: CiFiles,
}

impl Files {
    /// The files that are asked for, before anything is sent.
    pub(super) fn prepare(push: &Push, context: &Context) -> Result<Self, CliError> {
        let ci = push.ci_output.as_ref().map(|wanted| CiFiles::prepare(wanted, context.environment()));
        Ok(Self {
            digest: push.digestfile.as_deref().map(OutputFile::prepare).transpose()?,
            metadata: push.metadata_file.as_deref().map(OutputFile::prepare).transpose()?,
            ci: ci.transpose()?.unwrap_or_default(),
        })
    }

    /// Tells what was pushed.
    pub(super) fn tell(
        self,
        context: &Context,
        title: &str,
        (named, published): (&[Named], &Published),
        report: &Report<'_>,
    ) -> Result<(), CliError> {
        for (to, done) in named.iter().zip(published) {
            match done {
                Ok(outcome) => context.ui.note(format_args!(
                    "pushed {title} to {to}: {}{}{}",
                    summary(outcome),
                    with::summary(&outcome.attached),
                    signed::summary(outcome.signed)
                )),
                Err(error) => context.ui.note(format_args!("warning: {to} was left out: {}", chain(error))),
            }
        }
        context.ui.result(&format!("{}\n", report.digest()), report)?;
        if let Some(file) = self.digest {
            file.write(report.digest())?;
        }
        if let Some(file) = self.metadata {
            file.write(&report.text()?)?;
        }
        self.ci.write(report.digest(), (named, published), &json_line(report))
    }
}
