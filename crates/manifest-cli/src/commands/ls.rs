//! `manifest ls`

use clap::Args;
use jiff::Timestamp;
use manifest_store::Record;
use serde::Serialize;

use crate::context::Context;
use crate::error::{CliError, Failures};
use crate::filter::{Filter, passes};
use crate::holders::{HolderReport, holders};
use crate::report::{ListReport, kind};
use crate::table::{clean, table};
use crate::words::{ago, size, time};

/// Show the lists and images of the store, the last changed first
///
/// With --quiet only the ids.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest ls
  manifest ls --filter name='app:*' --filter platform=linux/arm64
  manifest ls --quiet --filter older-than=30d

Filters:
  id=TEXT, digest=TEXT       what it begins with
  name=PATTERN               one of its names; * stands for any characters, ? for one
  platform=OS/ARCH[/VARIANT] one of its entries is for this platform
  holder=PATTERN             one who holds it
  older-than=TIME            it was not changed for that long, as in 12h or 30d
  TEXT                       what its id, its digest or one of its names begins with
Of filters with the same key one must fit, and of each key one.")]
pub(crate) struct Ls {
    /// Show only what fits; may be repeated
    #[arg(long, short, value_name = "[KEY=]TEXT")]
    filter: Vec<Filter>,
    /// Show ids and times in full
    #[arg(long)]
    no_trunc: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    lists: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    list: ListReport,
    holders: Vec<HolderReport>,
}

impl Ls {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, now) = (context.store()?, Timestamp::now());
        let (mut records, mut lists, mut failures) = (Vec::new(), Vec::new(), Failures::default());
        for record in store.records().await? {
            match record {
                Ok(record) => {
                    let holders = holders(&store, &record).await?;
                    if passes(&self.filter, &record, &holders, now) {
                        lists.push(Listed { list: ListReport::from(&record), holders });
                        records.push(record);
                    }
                }
                // The others are shown all the same; the exit code tells of this one.
                Err(error) => failures.add(context, error),
            }
        }
        let text = if context.is_quiet() {
            records.iter().map(|record| format!("{}\n", record.id())).collect()
        } else {
            self.text(&records, now)
        };
        context.ui.result(&text, &Report { schema: "ls/1", lists })?;
        Ok(failures.code())
    }

    fn text(&self, records: &[Record], now: Timestamp) -> String {
        let head = ["NAME", "ID", "KIND", "ENTRIES", "SIZE", "CHANGED", "PUSHED"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let when = |then| if self.no_trunc { time(then) } else { ago(then, now) };
        for record in records {
            let id = if self.no_trunc { record.id().to_string() } else { record.id().short() };
            let mut names = record.names().iter().map(ToString::to_string);
            let pushed = record.pushed().map_or_else(
                || "never".to_owned(),
                |pushed| clean(&format!("{}, {}", when(pushed.when), pushed.target)),
            );
            rows.push(vec![
                names.next().unwrap_or_else(|| "<none>".to_owned()),
                id.clone(),
                kind(record).to_owned(),
                record.image().map_or_else(|| record.entries().len().to_string(), |_| "-".to_owned()),
                size(record.encoded().bytes.len() as u64),
                when(record.updated()),
                pushed,
            ]);
            rows.extend(names.map(|name| vec![name, id.clone()]));
        }
        table(&rows)
    }
}
