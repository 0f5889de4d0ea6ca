//! New records.

use std::path::PathBuf;

use manifest_core::ListName;

use super::Store;
use crate::backend::LockKey;
use crate::catalog::Creation;
use crate::{NewRecord, Record, RecordId, StoreError};

/// What to do when the name for a new record is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IfTaken {
    /// Refuse.
    #[default]
    Refuse,
    /// Take the name from the old record, which stays, perhaps without a name.
    Replace,
}

impl Store {
    /// Saves a new record under a name.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] with [`IfTaken::Refuse`]; [`StoreError::Unencodable`]; what locks and disks refuse.
    pub async fn create<N>(&self, name: &ListName, new: N, if_taken: IfTaken) -> Result<Record, StoreError>
    where
        N: TryInto<NewRecord, Error: Into<StoreError>>,
    {
        let new = new.try_into().map_err(Into::into)?;
        let (mut turn, stamp) = (self.turn(name), self.stamp());
        let mut record = Record::new(random_id()?, name.clone(), new, &stamp)?;
        self.read(|catalog| catalog.0.prepare()).await?;
        loop {
            let wanted = name.clone();
            let old = self.read(move |catalog| catalog.holder_of(&wanted)).await?;
            if let (Some(id), IfTaken::Refuse) = (old, if_taken) {
                return Err(StoreError::NameTaken { name: name.clone(), id });
            }
            if !turn.is_first() {
                // An id is used once: what was there under the last one may be removed at this very moment.
                record = record.under(random_id()?);
            }
            let records = record.used().chain(old).chain([record.id()]).map(LockKey::Record);
            let locks = self.lock(records.chain([LockKey::Name(name.clone())]), &turn);
            let creation = Creation { record: record.clone(), name: name.clone(), old };
            let stamp = stamp.clone();
            let made = locks.run(move |catalog| catalog.create(creation, &stamp)).await;
            if let Some((_, record)) = turn.settle(made).await? {
                return Ok(record);
            }
        }
    }
}

fn random_id() -> Result<RecordId, StoreError> {
    RecordId::random().map_err(|error| StoreError::Io("read", PathBuf::from("random bytes"), error.into()))
}
