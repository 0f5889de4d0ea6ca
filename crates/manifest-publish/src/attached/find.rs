//! Finding what is attached, where the list and everything in it are read.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest};
use manifest_transport::{Place, TransportError};

use super::{Attached, LeftOut, MAX_REFERRER_DEPTH, MAX_REFERRERS, Referrer, Signature};
use crate::error::PublishError;
use crate::push::{Content, PushOptions};
use crate::survey::{Manifests, Origins, everything};
use crate::tags::read;

/// Bytes of referrers that are kept; those beyond are read again.
const KEPT_BYTES: usize = 16 << 20;

/// The tags that cosign gives to what it attaches: signatures first, then attestations and bills of materials.
const SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// Manifests, by the place where what refers to them is looked for.
#[derive(Default)]
struct Subjects(Vec<(Place, BTreeSet<Digest>)>);

impl Subjects {
    fn add(&mut self, place: &Place, digest: Digest) {
        match self.0.iter_mut().find(|(known, _)| known == place) {
            Some((_, digests)) => drop(digests.insert(digest)),
            None => self.0.push((place.clone(), BTreeSet::from([digest]))),
        }
    }

    /// Everything in the list where it is read; the list where it is known to be: at a source that stood for it, and where
    /// the options say.
    async fn of(
        content: Content<'_>,
        origins: Origins<'_>,
        options: &PushOptions,
        manifests: &Manifests,
    ) -> Result<Self, PublishError> {
        let (list, mut subjects) = (content.list.digest, Self::default());
        let sources = content.sources.iter().filter(|source| source.digest == list);
        let places = sources.map(|source| &source.place).chain(&options.with.list_at);
        for place in places {
            subjects.add(&origins.place(place)?, list);
        }
        if options.entries {
            for (digest, place) in everything(content.entries, origins, manifests, options.jobs).await? {
                subjects.add(&place, digest);
            }
        }
        Ok(subjects)
    }
}

impl Attached {
    /// Looks for all that the options ask for.
    pub(crate) async fn find(
        content: Content<'_>,
        origins: Origins<'_>,
        options: &PushOptions,
    ) -> Result<Self, PublishError> {
        let mut attached = Self::default();
        if options.with.is_nothing() {
            return Ok(attached);
        }
        let subjects = Subjects::of(content, origins, options, &attached.manifests).await?;
        if options.with.signatures {
            let suffixes = SUFFIXES.split_at(usize::from(options.with.without_signatures)).1;
            attached.signatures = signatures(&subjects, suffixes, options.jobs).await?;
        }
        if options.with.referrers {
            attached.find_referrers(subjects, options).await?;
        }
        Ok(attached)
    }

    /// What was read on the way, for whoever needs it next.
    pub(crate) const fn manifests(&self) -> &Manifests {
        &self.manifests
    }

    /// What is known and cannot be taken along.
    pub(crate) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    async fn find_referrers(
        &mut self,
        mut level: Subjects,
        options: &PushOptions,
    ) -> Result<(), PublishError> {
        let jobs = options.jobs;
        let (mut seen, mut kept) = (BTreeSet::new(), 0);
        for depth in 0..=MAX_REFERRER_DEPTH {
            let mut next = Subjects::default();
            for (place, subjects) in &level.0 {
                let listed = place.referrers_of_all(subjects, jobs).await?;
                let new = listed
                    .into_iter()
                    .flat_map(|(subject, all)| all.into_iter().map(move |one| (subject, one)));
                let new: Vec<_> = new.filter(|(_, one)| !seen.contains(&one.digest)).collect();
                if self.referrers.len() + new.len() > MAX_REFERRERS {
                    return Err(PublishError::TooManyReferrers);
                }
                let manifests = &self.manifests;
                let mut found = stream::iter(new)
                    .map(|(subject, one)| Box::pin(look(place, subject, one, manifests)))
                    .buffered(jobs);
                while let Some(one) = found.try_next().await? {
                    match one {
                        Ok(referrer) if options.with.without_signatures && referrer.is_signature() => {}
                        Ok(mut referrer) if seen.insert(referrer.manifest.digest) => {
                            let digest = referrer.manifest.digest;
                            if depth == MAX_REFERRER_DEPTH {
                                return Err(PublishError::ReferrersTooDeep(digest));
                            }
                            kept += referrer.kept.as_ref().map_or(0, |fetched| fetched.bytes.len());
                            referrer.kept = referrer.kept.filter(|_| kept <= KEPT_BYTES);
                            next.add(place, digest);
                            self.referrers.push(referrer);
                        }
                        Ok(_) => {}
                        Err(left_out) if self.left_out.contains(&left_out) => {}
                        Err(left_out) => self.left_out.push(left_out),
                    }
                }
            }
            if next.0.is_empty() {
                break;
            }
            level = next;
        }
        Ok(())
    }
}

/// Reads what is listed as a referrer, and looks whether it is one.
async fn look(
    place: &Place,
    subject: Digest,
    listed: Descriptor,
    manifests: &Manifests,
) -> Result<Result<Referrer, LeftOut>, PublishError> {
    let (referrer, from) = (listed.digest, place.to_string());
    let fetched = match manifests.read(place, &referrer).await {
        Err(TransportError::NotFound(_)) => return Ok(Err(LeftOut::Gone { referrer, from })),
        read => read.map_err(|source| PublishError::Copy { digest: referrer, from: from.clone(), source })?,
    };
    if fetched.as_referrer().is_none_or(|(of, _)| of != subject) {
        return Ok(Err(LeftOut::NotOfIt { referrer, subject, from }));
    }
    let manifest = Descriptor::new(fetched.media_type.clone(), referrer, fetched.bytes.len() as u64);
    Ok(Ok(Referrer { manifest, subject, from: place.clone(), kept: Some(fetched) }))
}

/// Reads the tags of signatures, of each digest at each of its places.
async fn signatures(
    subjects: &Subjects,
    suffixes: &[&str],
    jobs: usize,
) -> Result<Vec<Signature>, PublishError> {
    let asked = subjects.0.iter().flat_map(|(place, digests)| {
        digests.iter().flat_map(move |of| suffixes.iter().map(move |suffix| (place, *of, *suffix)))
    });
    let mut found = stream::iter(asked)
        .map(|(place, of, suffix)| async move {
            let tag = format!("{}-{}.{suffix}", of.algorithm().as_str(), of.hex());
            let found = read(place, &tag).await?;
            Ok::<_, PublishError>(found.map(|found| Signature {
                size: found.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
                tag,
                of,
                found,
                from: place.clone(),
            }))
        })
        .buffered(jobs);
    // The same signatures at two places are one.
    let (mut unique, mut kept) = (BTreeMap::new(), 0);
    while let Some(signature) = found.try_next().await? {
        let Some(mut signature) = signature else { continue };
        kept += signature.size;
        if kept > KEPT_BYTES as u64 {
            signature.found.bytes = None;
        }
        unique.entry((signature.tag.clone(), signature.found.digest)).or_insert(signature);
    }
    Ok(unique.into_values().collect())
}
