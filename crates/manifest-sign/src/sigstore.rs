//! Plain keys, as cosign has them, and what they sign.
//!
//! In the *old form* a key signs the bytes of a [`Payload`](crate::Payload), and the signature stands in an annotation of a
//! layer of the image `sha256-….sig`: [`CosignSignature`], [`Attachment`]. In the *new form* it signs a [`Statement`], and
//! both lie in a [`Bundle`], which a manifest attaches to what it is about.
//!
//! Keys vouch for themselves here. Who has signed with a certificate for a name, and with no key that lasts, is not known
//! without asking a log and an authority for certificates: such signatures are recognised and not accepted.

mod attachment;
mod bundle;
mod cosign;
mod envelope;
mod json;
mod key;
mod key_file;
mod log;
mod pem;
mod public;
mod referrer;
mod seen;
mod statement;

pub use attachment::{Added, Attachment};
pub use bundle::{BUNDLE_MEDIA_TYPE, Bundle, MAX_BUNDLE_SIZE};
pub use cosign::{
    CERTIFICATE_ANNOTATION, CosignSignature, LOG_ANNOTATION, PAYLOAD_MEDIA_TYPE, SIGNATURE_ANNOTATION,
    cosign_signature,
};
pub use envelope::{ENVELOPE_MEDIA_TYPE, Envelope};
pub use key::SigstoreSigner;
pub use public::{KeyKind, PublicKey, SigstoreVerifier};
pub use referrer::{
    CREATED_ANNOTATION, EMPTY_CONFIG, PREDICATE_ANNOTATION, STATEMENT_PREDICATE_ANNOTATION,
    bundle_annotations, bundle_layer, bundle_manifest, statement_manifest,
};
pub use seen::{Seen, SignedBy};
pub use statement::{SIGNED_PREDICATE, STATEMENT_MEDIA_TYPE, Statement, StatementError, Subject};
