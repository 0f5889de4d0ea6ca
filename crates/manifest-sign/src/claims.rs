//! What signatures say, with nobody vouching for it.

use manifest_core::Digest;

use crate::error::Refusal;
use crate::payload::{Payload, PayloadType};
use crate::signer::KeyId;
use crate::sigstore::{Bundle, CosignSignature};

/// What a signature says. Nothing of it is true until a key has verified these very bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims {
    /// What it calls the key that made it, where it names one.
    pub key: Option<KeyId>,
    /// What it says that the image is, where its form has a place for that.
    pub identity: Option<String>,
    /// What it is about; by several algorithms, where it says so.
    pub digests: Vec<Digest>,
    /// Which program signed.
    pub creator: Option<String>,
    /// When it was made, in seconds since 1970.
    pub timestamp: Option<i64>,
}

impl Claims {
    /// Reads an OpenPGP message. Where the payload names no time, that of the message counts, which is signed as well.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`], or [`Refusal::Bad`] for what is too weak to be looked at.
    pub fn of_simple(envelope: &[u8]) -> Result<Self, Refusal> {
        let (payload, key, made) = open(envelope)?;
        let claims = Self::of_payload(Payload::decode(&payload, PayloadType::Atomic)?);
        Ok(Self { key, timestamp: claims.timestamp.or(made), ..claims })
    }

    /// Reads the payload of a signature in cosign's old form, which names no key.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`].
    pub fn of_cosign(signature: &CosignSignature) -> Result<Self, Refusal> {
        Ok(Self::of_payload(Payload::decode(signature.payload(), PayloadType::Cosign)?))
    }

    /// Reads a bundle, which states neither a name nor a time.
    ///
    /// # Errors
    /// [`Refusal`] as [`Bundle::decode`] gives it.
    pub fn of_bundle(bundle: &[u8]) -> Result<Self, Refusal> {
        let bundle = Bundle::decode(bundle)?;
        let statement = bundle.unverified()?;
        let digests = statement.subjects().iter().flat_map(|subject| subject.digests.iter().copied());
        Ok(Self { key: bundle.hint().map(KeyId::new), digests: digests.collect(), ..Self::default() })
    }

    fn of_payload(payload: Payload) -> Self {
        let Payload { reference, digest, creator, timestamp } = payload;
        Self { key: None, identity: Some(reference), digests: vec![digest], creator, timestamp }
    }
}

/// The payload, the key that it names, and when it was made.
type Envelope = (Vec<u8>, Option<KeyId>, Option<i64>);

#[cfg(feature = "openpgp")]
fn open(envelope: &[u8]) -> Result<Envelope, Refusal> {
    let crate::openpgp::Unverified { payload, key, made } = crate::openpgp::unverified(envelope)?;
    let since = |made: std::time::SystemTime| made.duration_since(std::time::UNIX_EPOCH).ok();
    let seconds = made.and_then(since).and_then(|made| i64::try_from(made.as_secs()).ok());
    Ok((payload, key, seconds))
}

#[cfg(not(feature = "openpgp"))]
fn open(_: &[u8]) -> Result<Envelope, Refusal> {
    Err(Refusal::Unreadable("this program was built without OpenPGP".to_owned()))
}
