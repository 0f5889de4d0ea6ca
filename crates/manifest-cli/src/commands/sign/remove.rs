//! `manifest sign --remove-signatures`

use manifest_publish::{Signing, remove_signatures, subjects_of};
use manifest_transport::{Location, Transport};

use super::Sign;
use super::report::{Done, Report};
use super::spot::Spot;
use crate::context::Context;
use crate::error::CliError;
use crate::words::counted;

impl Sign {
    /// Takes all signatures away.
    pub(super) async fn remove(
        &self,
        context: &Context,
        transport: &Transport,
        spots: &[Spot],
    ) -> Result<u8, CliError> {
        let mut done = Vec::new();
        for spot in spots {
            let one = self.remove_at(transport, spot).await?;
            let (count, others) =
                one.removed.as_ref().map_or((0, 0), |removed| (removed.removed, removed.others));
            context.ui.note(format_args!("{} removed from {}", counted(count, "signature"), spot.target));
            if others > 0 {
                let others = counted(others, "signature");
                context
                    .ui
                    .note(format_args!("{others} beside them of the same path in other registries left"));
            }
            done.push(one);
        }
        let report = Report::new(&done, &Signing::default());
        context.ui.result(&report.text(), &report)?;
        let stays = done.into_iter().filter_map(|one| one.removed).flat_map(|removed| removed.stays);
        let stays: Vec<String> = stays.collect();
        if stays.is_empty() { Ok(0) } else { Err(CliError::NotDeleted(stays)) }
    }

    async fn remove_at(&self, transport: &Transport, spot: &Spot) -> Result<Done, CliError> {
        let (place, wanted) = self.wanted(transport, spot).await?;
        let simple = match &spot.location {
            Location::Registry(reference) => transport.signatures(reference),
            _ => None,
        };
        let mut done = Done::at(spot);
        for (entry, fetched) in wanted {
            let all = match self.sign.children() {
                true => subjects_of(&place, &fetched, self.registry.connection.jobs).await?,
                false => vec![entry.clone()],
            };
            // The list first: a list without its signature asks for none of what is in it.
            for one in all.iter().rev() {
                let removed = remove_signatures(&place, &one.digest, simple.as_ref()).await?;
                done.remove(&entry, removed);
            }
        }
        Ok(done)
    }
}
