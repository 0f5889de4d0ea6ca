//! `manifest hold`

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::args::{duration, holder};
use crate::context::{Context, selector};
use crate::error::CliError;
use crate::holders::{HolderReport, holders};
use crate::report::ListReport;

/// Keep a list or image from being removed until it is released
///
/// Holds are kept in the store and outlive this process. They are a set: holding twice under one name is one hold,
/// which then ends when the second one says.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  manifest hold app:1.0 --by release-42 --ttl 12h")]
pub(crate) struct Hold {
    /// The list or image: its name, its id, or at least 12 digits of its id
    list: String,
    /// Who holds it: any text, by which it is released again
    #[arg(long, value_name = "WHO", value_parser = holder)]
    by: String,
    /// When the hold ends by itself, as in 12h or 30d [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,
}

/// What `hold` and `release` print.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) schema: &'static str,
    pub(super) list: ListReport,
    pub(super) holders: Vec<HolderReport>,
}

impl Hold {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, which) = (context.store()?, selector(&self.list)?);
        let record = store.hold(&which, &self.by, self.until()?).await?;
        let holders = holders(&store, &record).await?;
        let report = Report { schema: "hold/1", list: ListReport::from(&record), holders };
        context.ui.result(&format!("{}\n", record.id()), &report)?;
        Ok(0)
    }

    fn until(&self) -> Result<Option<Timestamp>, CliError> {
        let Some(ttl) = self.ttl else { return Ok(None) };
        // Whole milliseconds, as all times of a record.
        let until = Timestamp::now().checked_add(ttl);
        let until = until.and_then(|until| Timestamp::from_millisecond(until.as_millisecond()));
        until.map(Some).map_err(|_too_late| {
            let message = "--ttl goes beyond the end of the calendar".to_owned();
            CliError::Misuse(message, "a hold without --ttl ends when it is released")
        })
    }
}
