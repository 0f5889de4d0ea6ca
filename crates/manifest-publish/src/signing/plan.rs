//! What would be signed, without signing it.

use manifest_core::{Descriptor, Digest};
use manifest_sign::KeyId;
use manifest_transport::{Place, ReferrersAt};

use super::find::{attached, bundles, simple_signatures};
use super::keep::{Name, missing};
use super::step::{check_target, levels, name_at};
use super::{Claim, SignBy, SignatureForm};
use crate::course::Course;
use crate::error::PublishError;
use crate::push::Target;

/// A signature that would be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignStep {
    /// What would be signed.
    pub subject: Descriptor,
    /// With which key.
    pub key: KeyId,
    /// How the signature would be kept.
    pub form: SignatureForm,
}

/// Works out what a publication would sign at a target, with reading requests only; `place` is where things are now.
pub(crate) async fn plan(
    course: &Course<'_>,
    (target, place): (&Target, &Place),
) -> Result<Vec<SignStep>, PublishError> {
    let (signing, list) = (&course.options.signing, course.content.list);
    if signing.is_nothing() {
        return Ok(Vec::new());
    }
    check_target(course, target).await?;
    let name = name_at(course, target);
    let about = Descriptor::new(list.media_type.clone(), list.digest, list.bytes.len() as u64);
    let entries = if signing.children { course.brought() } else { &[] };
    // Lists in the list need not be at the target yet, and what is in them may have no source of its own.
    let read = async |digest: &Digest| {
        let which = (*digest).into();
        match course.origins().of(digest) {
            Ok(origin) => Ok(origin.manifest(&which).await?),
            Err(_unknown) => Ok(place.manifest(&which).await?),
        }
    };
    let mut steps = Vec::new();
    for subject in levels(read, entries, &about, course.options.jobs).await?.concat() {
        let claim = Claim { subject, identity: name.identity.clone(), creator: None, timestamp: None };
        for form in SignatureForm::ALL {
            let by: Vec<&SignBy> = signing.of_form(form).collect();
            if by.is_empty() {
                continue;
            }
            let new = unsigned((place, &name), form, &by, &claim).await?;
            let step =
                |by: &SignBy| SignStep { subject: claim.subject.clone(), key: by.vouch.key().clone(), form };
            steps.extend(new.into_iter().map(step));
        }
    }
    Ok(steps)
}

/// Those who have not signed in this form.
async fn unsigned<'b>(
    (place, name): (&Place, &Name),
    form: SignatureForm,
    by: &[&'b SignBy],
    claim: &Claim,
) -> Result<Vec<&'b SignBy>, PublishError> {
    let (place, digest) = (place.without_mirrors(), &claim.subject.digest);
    let found = match (form, &name.simple) {
        (SignatureForm::Cosign, Some(own)) if own.keeps_sigstore() => {
            simple_signatures(own, digest, usize::MAX).await?
        }
        (SignatureForm::Cosign, _) => attached(&place, digest).await?.1,
        (SignatureForm::Bundle, _) => bundles(&place, digest, ReferrersAt::Anywhere).await?,
        (SignatureForm::Simple, Some(simple)) => simple_signatures(simple, digest, usize::MAX).await?,
        (SignatureForm::Simple, None) => Vec::new(),
    };
    Ok(missing(by, claim, &found))
}
