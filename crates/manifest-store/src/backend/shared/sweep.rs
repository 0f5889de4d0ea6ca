//! Removing blobs from a bucket.

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use manifest_core::Digest;
use object_store::Error;

use super::blob::{Head, time};
use super::failure::failed;
use super::objects::{Objects, random};
use super::{LEASES, Shared};
use crate::StoreError;
use crate::backend::{Leftover, MarkBlobs, Plan, Swept, Touch};

impl Shared {
    /// What nobody needs is found before anybody is asked what he needs: who has come to rely on it since has made it young.
    pub(super) fn sweep_objects(&self, plan: &Plan, mark: MarkBlobs<'_>) -> Result<Swept, StoreError> {
        let plan = Plan { now: self.block_on(self.server_time(plan))?, ..*plan };
        let (mut old, mut swept) = (Vec::new(), Swept::default());
        self.block_on(self.objects.each_blob(&mut |digest, head| {
            if plan.is_old(head.modified) {
                old.push((digest, head.size));
            } else {
                swept.kept = (swept.kept.0 + 1, swept.kept.1 + head.size);
            }
        }))?;
        let marks = mark(Vec::new())?;
        for (digest, size) in old {
            let is_needed = marks.as_ref().is_none_or(|marks| marks.has(digest.algorithm(), &digest.hex()));
            let key = super::blob::spot(&digest);
            // It may have become young meanwhile.
            let stays = is_needed
                || (plan.touch == Touch::Remove && !self.block_on(self.is_still_old(&key, &plan))?);
            if stays {
                swept.kept = (swept.kept.0 + 1, swept.kept.1 + size);
                continue;
            }
            if plan.touch == Touch::Remove {
                self.block_on(self.objects.delete(&key))?;
            }
            swept.removed = (swept.removed.0 + 1, swept.removed.1 + size);
        }
        for dir in ["intakes", LEASES] {
            self.sweep_marks(dir, &plan, &mut swept)?;
        }
        Ok(swept)
    }

    /// The time by the clock of the service, where it matters.
    async fn server_time(&self, plan: &Plan) -> Result<Timestamp, StoreError> {
        // To ask for it is to write.
        if plan.grace.is_zero() || plan.touch != Touch::Remove {
            return Ok(plan.now);
        }
        let key = format!("intakes/{:016x}", random()?);
        let now = self.objects.now(&key).await;
        drop(self.objects.delete(&key).await);
        now
    }

    async fn is_still_old(&self, key: &str, plan: &Plan) -> Result<bool, StoreError> {
        Ok(self.objects.head(key).await?.is_some_and(|head| plan.is_old(head.modified)))
    }

    /// Removes what intakes and leases left behind that were given up; those that somebody has are young.
    fn sweep_marks(&self, dir: &str, plan: &Plan, swept: &mut Swept) -> Result<(), StoreError> {
        if plan.touch == Touch::Look {
            return Ok(());
        }
        for name in self.block_on(self.objects.list(dir))? {
            let key = format!("{dir}/{name}");
            let Some(head) = self.block_on(self.objects.head(&key))? else { continue };
            if plan.is_old(head.modified) {
                if plan.touch == Touch::Remove {
                    self.block_on(self.objects.delete(&key))?;
                }
                swept.leftovers.push(Leftover { path: self.objects.path(&key), size: head.size });
            }
        }
        Ok(())
    }
}

impl Objects {
    pub(super) async fn each_blob(&self, each: &mut dyn FnMut(Digest, Head)) -> Result<(), StoreError> {
        let location = self.location("list", "blobs")?;
        let mut objects = self.store.list(Some(&location));
        loop {
            let object = match objects.try_next().await {
                Ok(Some(object)) => object,
                Ok(None) | Err(Error::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(failed("list", &self.path("blobs"), &error)),
            };
            let mut parts = object.location.as_ref().rsplit('/');
            let (hex, algorithm) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            if let Ok(digest) = format!("{algorithm}:{hex}").parse() {
                let modified = time(object.last_modified.timestamp_millis());
                each(digest, Head { size: object.size, modified });
            }
        }
    }
}
