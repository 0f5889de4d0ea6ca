//! Keys as `manifest-sign` has them, each with the form in which its signatures are kept.

use std::fmt;
use std::sync::Arc;

use manifest_sign::sigstore::{
    Bundle, SIGNED_PREDICATE, SigstoreVerifier, Statement, Subject, cosign_signature,
};
use manifest_sign::{KeyId, Payload, PayloadType, SignError, Signer};

use super::{Claim, Signature, SignatureForm, Vouch};

impl Claim {
    /// The payload that says it.
    fn payload(&self, key: &KeyId) -> Result<Payload, SignError> {
        let Some(identity) = self.identity.clone() else {
            let why = format!("nothing says what {} is", self.subject.digest);
            return Err(SignError::Failed(key.clone(), why));
        };
        let payload = Payload::new(identity, self.subject.digest);
        Ok(Payload { creator: self.creator.clone(), timestamp: self.timestamp, ..payload })
    }

    /// Whether a payload says it, whoever wrote it when.
    fn is_said_by(&self, payload: &Payload) -> bool {
        payload.digest == self.subject.digest && Some(&payload.reference) == self.identity.as_ref()
    }
}

/// A plain key, as cosign has them.
#[derive(Clone, Debug)]
pub struct SigstoreVouch {
    signer: Arc<dyn Signer>,
    verifier: SigstoreVerifier,
    form: SignatureForm,
}

impl SigstoreVouch {
    /// Attaches signatures in the form of cosign; `verifier` knows the signatures of `signer`.
    pub const fn cosign(signer: Arc<dyn Signer>, verifier: SigstoreVerifier) -> Self {
        Self { signer, verifier, form: SignatureForm::Cosign }
    }

    /// Refers to what is signed with bundles.
    pub const fn bundle(signer: Arc<dyn Signer>, verifier: SigstoreVerifier) -> Self {
        Self { signer, verifier, form: SignatureForm::Bundle }
    }
}

impl Vouch for SigstoreVouch {
    fn key(&self) -> &KeyId {
        self.signer.key()
    }

    fn form(&self) -> SignatureForm {
        self.form
    }

    fn sign(&self, claim: &Claim) -> Result<Signature, SignError> {
        if self.form == SignatureForm::Bundle {
            let statement = Statement::signed(Subject::new(claim.subject.digest));
            let bundle = Bundle::sign(&*self.signer, &statement)?;
            return Ok(Signature::Bundle(bundle.encode().into()));
        }
        let payload = claim.payload(self.key())?.encode(PayloadType::Cosign);
        cosign_signature(&*self.signer, payload).map(Signature::Cosign)
    }

    fn has(&self, found: &Signature, claim: &Claim) -> bool {
        match found {
            Signature::Cosign(signature) => {
                signature.verify(&self.verifier).is_ok_and(|(_, payload)| claim.is_said_by(&payload))
            }
            Signature::Bundle(bundle) => Bundle::decode(bundle)
                .and_then(|bundle| bundle.verify(&self.verifier, &claim.subject.digest, SIGNED_PREDICATE))
                .is_ok(),
            Signature::Simple(_) => false,
        }
    }
}

/// Opens a signature of simple signing: the payload, if the key made it and may sign.
pub type Open = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

/// A key of simple signing.
#[derive(Clone)]
pub struct SimpleVouch {
    signer: Arc<dyn Signer>,
    open: Arc<Open>,
}

impl SimpleVouch {
    /// Signs with `signer`, whose own signatures `open` opens, and no others.
    pub const fn new(signer: Arc<dyn Signer>, open: Arc<Open>) -> Self {
        Self { signer, open }
    }
}

impl fmt::Debug for SimpleVouch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleVouch").field("signer", &self.signer).finish_non_exhaustive()
    }
}

impl Vouch for SimpleVouch {
    fn key(&self) -> &KeyId {
        self.signer.key()
    }

    fn form(&self) -> SignatureForm {
        SignatureForm::Simple
    }

    fn sign(&self, claim: &Claim) -> Result<Signature, SignError> {
        let payload = claim.payload(self.key())?.encode(PayloadType::Atomic);
        Ok(Signature::Simple(self.signer.sign(&payload)?.into()))
    }

    fn has(&self, found: &Signature, claim: &Claim) -> bool {
        let Signature::Simple(message) = found else { return false };
        let payload = (self.open)(message).map(|payload| Payload::decode(&payload, PayloadType::Atomic));
        payload.is_some_and(|payload| payload.is_ok_and(|payload| claim.is_said_by(&payload)))
    }
}
