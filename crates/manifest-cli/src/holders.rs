//! Who holds a record, for people and programs.

use manifest_store::{HeldBy, Record, RecordId, Store, StoreError};
use serde::Serialize;

use crate::error::CliError;

/// One who holds a record, or did until the hold ended by itself.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HolderReport {
    /// The name that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// The id of the list that has entries of the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) list: Option<String>,
    /// The names of that list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) names: Vec<String>,
    pub(crate) since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    pub(crate) expired: bool,
}

impl HolderReport {
    /// What people call it.
    pub(crate) fn title(&self) -> String {
        match (&self.by, self.names.first(), &self.list) {
            (Some(by), ..) => by.clone(),
            (None, Some(name), _) => format!("the list {name}"),
            (None, None, list) => format!("the list {}", list.as_deref().unwrap_or_default()),
        }
    }
}

/// All who hold a record, sorted; of those whose hold has ended, the ones that nobody released.
pub(crate) async fn holders(store: &Store, record: &Record) -> Result<Vec<HolderReport>, CliError> {
    if record.holds().is_empty() {
        return Ok(Vec::new());
    }
    let active = store.holders(record).await?;
    let mut holds: Vec<_> = record.holds().iter().collect();
    holds.sort_by(|a, b| a.by.cmp(&b.by));
    let mut reports = Vec::new();
    for hold in holds {
        let expired = !active.contains(&hold.by);
        let (by, list) = match &hold.by {
            HeldBy::Name(name) => (Some(name.clone()), None),
            // The list has none of its entries any more.
            HeldBy::List(_) if expired => continue,
            HeldBy::List(list) => (None, Some(*list)),
            _ => continue,
        };
        let names = match list {
            Some(list) => names(store, list).await,
            None => Vec::new(),
        };
        let (since, until) = (hold.since.to_string(), hold.until.map(|until| until.to_string()));
        reports.push(HolderReport { by, list: list.map(|id| id.to_string()), names, since, until, expired });
    }
    Ok(reports)
}

/// What people call those who hold a record; a list by its name, if it has one.
pub(crate) async fn titles(store: &Store, by: &[HeldBy]) -> Vec<String> {
    let mut titles = Vec::new();
    for holder in by {
        titles.push(match holder {
            HeldBy::List(list) => match names(store, *list).await.first() {
                Some(name) => format!("the list {name}"),
                None => holder.to_string(),
            },
            _ => holder.to_string(),
        });
    }
    titles
}

/// An error of the store; one that tells of holders tells of them, and of what they hold, by name.
pub(crate) async fn told(store: &Store, error: StoreError) -> CliError {
    let StoreError::Held { id, by } = &error else { return error.into() };
    let what = names(store, *id).await.into_iter().next().unwrap_or_else(|| id.short());
    let lists_only = by.iter().all(|holder| matches!(holder, HeldBy::List(_)));
    CliError::Held { what, by: titles(store, by).await.join(", "), lists_only }
}

/// The names of a record; none where it cannot be read.
async fn names(store: &Store, id: RecordId) -> Vec<String> {
    let record = store.load(&id.into()).await;
    record.map(|record| record.names().iter().map(ToString::to_string).collect()).unwrap_or_default()
}
