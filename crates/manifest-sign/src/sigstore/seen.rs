//! What attestations say and who is said to have signed them, for people who look around.

use manifest_core::Digest;

use super::bundle::{MAX_BUNDLE_SIZE, hint, is_of_a_certificate, members};
use super::envelope::Envelope;
use super::json::Shape;
use super::statement::Statement;
use crate::error::Refusal;

/// Who is said to have signed something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignedBy {
    /// Nobody.
    Nobody,
    /// A key, by what the signer calls it if that is said.
    Key(Option<String>),
    /// Somebody with a certificate, which is not looked into.
    Certificate,
}

/// What an attestation says, of which nothing is verified: anybody can have written it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Seen {
    /// The statement.
    pub statement: Statement,
    /// Who is said to have signed it.
    pub signed_by: SignedBy,
}

impl Seen {
    /// Looks into a bundle, also into one that only a certificate could verify.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`] when it is not a bundle with a statement.
    pub fn bundle(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut top = members(bytes)?;
        let mut material = top.object("verificationMaterial")?;
        let signed_by = match is_of_a_certificate(&mut material) {
            true => SignedBy::Certificate,
            false => SignedBy::Key(hint(&mut material)?),
        };
        let statement = Envelope::of(top.object("dsseEnvelope")?)?.unverified()?;
        Ok(Self { statement, signed_by })
    }

    /// Looks into an envelope that lies by itself.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`] when it is not an envelope with a statement.
    pub fn envelope(bytes: &[u8]) -> Result<Self, Refusal> {
        let envelope = Envelope::decode(bytes)?;
        Ok(Self { statement: envelope.unverified()?, signed_by: SignedBy::Key(envelope.keyid) })
    }

    /// Reads a statement that nobody signed.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`] when it is none.
    pub fn statement(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_BUNDLE_SIZE {
            return Err(Shape(format!("a statement of {} bytes is not read", bytes.len())).into());
        }
        Ok(Self { statement: Statement::decode(bytes)?, signed_by: SignedBy::Nobody })
    }

    /// Refuses what is about something else than `digest`, or of another type than `predicate_type`, where that is known from
    /// elsewhere: what stands beside an attestation is written by somebody else than what is in it.
    ///
    /// # Errors
    /// [`Refusal::Bad`].
    pub fn expect(&self, digest: &Digest, predicate_type: Option<&str>) -> Result<(), Refusal> {
        self.statement.expect(digest, predicate_type.unwrap_or(self.statement.predicate_type()))
    }
}
