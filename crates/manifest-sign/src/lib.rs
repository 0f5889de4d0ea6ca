//! Signatures of image lists and images.
//!
//! What a signature says is a [`Payload`]: this digest is what that reference means. Two families of keys vouch for it.
//! *Simple signing* wraps the payload in an OpenPGP message; *sigstore* signs its bytes, or a statement about it, with a
//! plain key. A [`Signer`] makes either; reading back, every claim is checked before anything is believed, and what is not
//! good is one of the answers of [`Refusal`], none of which is success.
//!
//! This crate opens no sockets, reads no clock (but for the time in a signature of simple signing, which is the
//! system's) and prints nothing. Where signatures are kept is for others to know.

mod claims;
mod error;
#[cfg(feature = "openpgp")]
pub mod openpgp;
mod passphrase;
mod payload;
pub mod policy;
mod signer;
pub mod sigstore;

pub use claims::Claims;
pub use error::{Refusal, SignError};
pub use passphrase::Passphrase;
pub use payload::{MAX_PAYLOAD_SIZE, Payload, PayloadError, PayloadType};
pub use signer::{KeyId, Signer};
