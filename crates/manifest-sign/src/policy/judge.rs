//! Whether an image has what a policy demands.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use manifest_core::{Digest, Reference};

use super::check::{CheckError, KeyCheck, KeyFiles};
use super::identity::Identity;
use super::requirement::{KeySource, Requirement, Unsupported};
use crate::error::{Refusal, SignError};
use crate::payload::{Payload, PayloadType};
use crate::signer::KeyId;

/// A signature that was found of an image; nothing of it is believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signature {
    /// A simple signature: an OpenPGP message with the payload inside.
    Simple(Vec<u8>),
    /// A payload, and what a sigstore key has made of it.
    Sigstore {
        /// The payload.
        payload: Vec<u8>,
        /// The bare signature.
        signature: Vec<u8>,
    },
}

/// What a policy demands of one image.
#[derive(Clone, Debug)]
pub struct Rules<'p> {
    /// Where in the policy it stands, such as `transports["docker"]["r.example.com"]`.
    pub(super) at: String,
    pub(super) requirements: &'p [Requirement],
    pub(super) reference: Option<Reference>,
}

/// An image has what is demanded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The keys that vouch for it; none where nothing was demanded.
    pub keys: BTreeSet<KeyId>,
    /// Which of the signatures that were found count, from 0, and the key of each.
    pub counted: BTreeSet<(usize, KeyId)>,
    /// Signatures that do not count although others do, which is worth a warning.
    pub passed_over: Vec<Looked>,
}

/// A signature that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Looked {
    /// Which one of those that were found, from 0.
    pub index: usize,
    /// Why it does not count.
    pub refusal: Refusal,
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signature {}: {}", self.index + 1, self.refusal)
    }
}

/// An image lacks what is demanded.
#[derive(Debug, thiserror::Error)]
#[error("{at} ({kind}): {why}")]
#[non_exhaustive]
pub struct Denied {
    /// Where in the policy it is demanded, such as `transports["docker"]["r.example.com"][0]`.
    pub at: String,
    /// The type of the requirement, as policies name it.
    pub kind: &'static str,
    /// Why it is not met.
    pub why: Why,
}

/// Why a requirement is not met.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// Nothing meets it.
    #[error("it is not allowed")]
    Rejected,
    /// It cannot be decided here.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// There is no signature of the kind that is asked for.
    #[error("there is no signature of this kind")]
    Unsigned,
    /// There are signatures, and none counts.
    #[error("no signature counts: {}", join(.0))]
    Refused(Vec<Looked>),
    /// A key of the policy is none that can be used.
    #[error("{}", .0)]
    Key(SignError),
    /// The file of a key was not read.
    #[error("the key {path} was not read", path = .0.display())]
    KeyFile(PathBuf),
    /// Too few keys vouch for it; several signatures of one key are those of one.
    #[error("{wanted} different keys must have signed it, and {found} have")]
    TooFewKeys {
        /// How many are wanted.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
}

fn join(looked: &[Looked]) -> String {
    looked.iter().map(Looked::to_string).collect::<Vec<_>>().join("; ")
}

impl Denied {
    /// The one answer that says most about the signatures: of several the one that came nearest to counting. None where
    /// no signature could have helped.
    pub fn refusal(&self) -> Option<Refusal> {
        match &self.why {
            Why::Unsigned => Some(Refusal::Unsigned),
            Why::Refused(looked) => Refusal::nearest(looked.iter().map(|looked| looked.refusal.clone())),
            Why::Rejected | Why::Unsupported(_) | Why::Key(_) | Why::KeyFile(_) | Why::TooFewKeys { .. } => {
                None
            }
        }
    }
}

impl Verdict {
    /// Whether any key vouches for the image, and not only a policy that demands nothing.
    pub fn is_signed(&self) -> bool {
        !self.keys.is_empty()
    }
}

impl Rules<'_> {
    /// Where in the policy they stand, such as `transports["docker"]["r.example.com"]` or `default`.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// The files that hold the keys.
    pub fn key_files(&self) -> impl Iterator<Item = &Path> {
        self.requirements.iter().flat_map(Requirement::keys).filter_map(|source| match source {
            KeySource::File(path) => Some(path.as_path()),
            KeySource::Data(_) => None,
        })
    }

    /// Whether a signature can matter at all; if not, none need be looked for.
    pub fn look_at_signatures(&self) -> bool {
        self.requirements.iter().any(|requirement| !requirement.keys().is_empty())
    }

    /// Whether simple signatures can matter.
    pub fn look_at_simple(&self) -> bool {
        self.requirements.iter().any(|requirement| matches!(requirement, Requirement::SignedBy(..)))
    }

    /// Whether sigstore signatures can matter.
    pub fn look_at_sigstore(&self) -> bool {
        self.requirements.iter().any(|requirement| matches!(requirement, Requirement::SigstoreSigned(..)))
    }

    /// Whether the image with this digest has all that is demanded, by the signatures that were found of it.
    ///
    /// All of them are looked at, in any order: one that counts is enough for a requirement, whatever stands before it.
    ///
    /// # Errors
    /// [`Denied`] names the first requirement that is not met, and says why.
    pub fn judge(
        &self,
        digest: &Digest,
        signatures: &[Signature],
        files: &KeyFiles,
        check: &dyn KeyCheck,
    ) -> Result<Verdict, Denied> {
        let asked = Asked { reference: self.reference.as_ref(), digest, signatures, files, check };
        let (mut verdict, mut seen) = (Verdict::default(), BTreeSet::new());
        for (at, requirement) in self.requirements.iter().enumerate() {
            let met = asked.meets(requirement).map_err(|why| self.denied(at, why))?;
            verdict.keys.extend(met.keys);
            verdict.counted.extend(met.counted);
            // Two requirements may refuse the same signature for the same reason.
            let new = met.passed_over.into_iter();
            verdict.passed_over.extend(new.filter(|one| seen.insert((one.index, one.refusal.to_string()))));
        }
        Ok(verdict)
    }

    /// As [`judge`](Self::judge), and at least so many different keys must vouch for the image.
    ///
    /// # Errors
    /// [`Denied`]; [`Why::TooFewKeys`] when each requirement is met, but by too few keys.
    pub fn judge_with_keys(
        &self,
        wanted: usize,
        (digest, signatures): (&Digest, &[Signature]),
        files: &KeyFiles,
        check: &dyn KeyCheck,
    ) -> Result<Verdict, Denied> {
        let verdict = self.judge(digest, signatures, files, check)?;
        let found = verdict.keys.len();
        if found < wanted {
            let last = self.requirements.len().saturating_sub(1);
            return Err(self.denied(last, Why::TooFewKeys { wanted, found }));
        }
        Ok(verdict)
    }

    fn denied(&self, at: usize, why: Why) -> Denied {
        let kind = self.requirements.get(at).map_or("", Requirement::kind);
        Denied { at: format!("{}[{at}]", self.at), kind, why }
    }
}

/// All that one requirement is compared with.
struct Asked<'a> {
    reference: Option<&'a Reference>,
    digest: &'a Digest,
    signatures: &'a [Signature],
    files: &'a KeyFiles,
    check: &'a dyn KeyCheck,
}

impl Asked<'_> {
    fn meets(&self, requirement: &Requirement) -> Result<Verdict, Why> {
        match requirement {
            Requirement::Accept => Ok(Verdict::default()),
            Requirement::Reject => Err(Why::Rejected),
            Requirement::Unsupported(what) => Err(what.clone().into()),
            Requirement::SignedBy(sources, identity) => {
                let keys = self.keys(sources)?;
                self.any(|signature| match signature {
                    Signature::Simple(envelope) => Some(self.simple(&keys, identity, envelope)),
                    Signature::Sigstore { .. } => None,
                })
            }
            Requirement::SigstoreSigned(sources, identity) => {
                let keys = self.keys(sources)?;
                self.any(|signature| match signature {
                    Signature::Sigstore { payload, signature } => {
                        Some(self.sigstore(&keys, identity, (payload, signature)))
                    }
                    Signature::Simple(_) => None,
                })
            }
        }
    }

    fn keys<'k>(&'k self, sources: &'k [KeySource]) -> Result<Vec<&'k [u8]>, Why> {
        let each = sources.iter().map(|source| match (self.files.key(source), source) {
            (Some(key), _) => Ok(key),
            (None, KeySource::File(path)) => Err(Why::KeyFile(path.clone())),
            (None, KeySource::Data(_)) => Err(Why::KeyFile(PathBuf::new())),
        });
        each.collect()
    }

    /// Whether one signature counts; `count` passes over those of another kind.
    fn any(&self, count: impl Fn(&Signature) -> Option<Result<KeyId, CheckError>>) -> Result<Verdict, Why> {
        let mut verdict = Verdict::default();
        for (index, signature) in self.signatures.iter().enumerate() {
            match count(signature) {
                None => {}
                Some(Ok(key)) => {
                    verdict.keys.insert(key.clone());
                    verdict.counted.insert((index, key));
                }
                Some(Err(CheckError::Refused(refusal))) => {
                    verdict.passed_over.push(Looked { index, refusal })
                }
                Some(Err(CheckError::Key(error))) => return Err(Why::Key(error)),
            }
        }
        match (verdict.is_signed(), verdict.passed_over.is_empty()) {
            (true, _) => Ok(verdict),
            (false, true) => Err(Why::Unsigned),
            (false, false) => Err(Why::Refused(verdict.passed_over)),
        }
    }

    fn simple(&self, keys: &[&[u8]], identity: &Identity, envelope: &[u8]) -> Result<KeyId, CheckError> {
        let opened = self.check.open_simple(keys, envelope)?;
        self.says(&opened.payload, PayloadType::Atomic, identity)?;
        Ok(opened.key)
    }

    fn sigstore(
        &self,
        keys: &[&[u8]],
        identity: &Identity,
        (payload, signature): (&[u8], &[u8]),
    ) -> Result<KeyId, CheckError> {
        let mut refusals = Vec::new();
        for key in keys {
            match self.check.check_sigstore(key, payload, signature) {
                Ok(key) => {
                    self.says(payload, PayloadType::Cosign, identity)?;
                    return Ok(key);
                }
                Err(CheckError::Refused(refusal)) => refusals.push(refusal),
                Err(error) => return Err(error),
            }
        }
        Err(Refusal::nearest(refusals).unwrap_or(Refusal::Unsigned).into())
    }

    /// Whether a payload that somebody signed is about this image.
    fn says(&self, payload: &[u8], kind: PayloadType, identity: &Identity) -> Result<(), Refusal> {
        let payload = Payload::decode(payload, kind)?;
        if payload.digest != *self.digest {
            return Err(Refusal::Bad(format!("it is of {}, not of {}", payload.digest, self.digest)));
        }
        identity.check(&payload.reference, self.reference).map_err(Refusal::Bad)
    }
}
