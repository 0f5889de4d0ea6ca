//! Whether the signatures of one digest are enough.

use std::collections::BTreeSet;

use manifest_core::Digest;
use manifest_sign::policy::{self, CheckError, KeyCheck, KeyFiles, Opened, Rules, Why};
use manifest_sign::sigstore::{Bundle, SIGNED_PREDICATE};
use manifest_sign::{Claims, KeyId, Payload, PayloadType, Refusal, SignError};

use super::answer::{Answer, PassedOver, Refused, Verified, Voucher};
use super::{AcceptedKeys, Role, VerifyBy, VerifyError, VerifyOptions, claims};
use crate::signing::{FoundSignature, Signature};

/// Judges what was found of a digest.
pub(super) fn judge(
    (by, check): (&VerifyBy<'_>, &dyn KeyCheck),
    about: (&Digest, Role),
    found: &[FoundSignature],
    options: &VerifyOptions,
) -> Result<Answer, VerifyError> {
    let check = &InTime { check, after: options.signed_after };
    match by {
        VerifyBy::Keys(keys) => by_keys(keys, check, about, found, options.min_keys),
        VerifyBy::Policy(rules, files) => by_policy((rules, files), check, about.0, found, options.min_keys),
    }
}

/// Checks with keys, and then whether a signature is old.
struct InTime<'a> {
    check: &'a dyn KeyCheck,
    after: Option<i64>,
}

impl InTime<'_> {
    fn old(&self, timestamp: Option<i64>) -> Result<(), Refusal> {
        match (self.after, timestamp) {
            (None, _) => Ok(()),
            (Some(after), Some(made)) if made >= after => Ok(()),
            (Some(after), Some(made)) => Err(Refusal::Expired(format!(
                "it was made at {}, and {} is the earliest",
                time(made),
                time(after)
            ))),
            (Some(_), None) => Err(Refusal::Expired("it does not say when it was made".to_owned())),
        }
    }
}

impl KeyCheck for InTime<'_> {
    fn open_simple(&self, keyrings: &[&[u8]], envelope: &[u8]) -> Result<Opened, CheckError> {
        let opened = self.check.open_simple(keyrings, envelope)?;
        if self.after.is_some() {
            self.old(Claims::of_simple(envelope)?.timestamp)?;
        }
        Ok(opened)
    }

    fn check_sigstore(&self, key: &[u8], payload: &[u8], signature: &[u8]) -> Result<KeyId, CheckError> {
        let key = self.check.check_sigstore(key, payload, signature)?;
        if self.after.is_some() {
            let payload = Payload::decode(payload, PayloadType::Cosign).map_err(Refusal::from)?;
            self.old(payload.timestamp)?;
        }
        Ok(key)
    }
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// Any of the keys must have signed, and so many of them as are wanted.
fn by_keys(
    keys: &AcceptedKeys,
    check: &InTime<'_>,
    about: (&Digest, Role),
    found: &[FoundSignature],
    min_keys: usize,
) -> Result<Answer, VerifyError> {
    let mut verified = Verified::default();
    for one in found {
        let signature = one.signature.as_ref().map_err(|refusal| refusal.clone().into());
        match signature.and_then(|signature| counts(keys, check, about, signature)) {
            Ok(key) => verified.by.push(voucher(one, key)),
            Err(CheckError::Refused(refusal)) => verified.passed_over.push(passed_over(one, refusal)),
            Err(CheckError::Key(source)) => return Err(unusable("a key", source)),
            Err(other) => return Err(unusable("a key", SignError::NotAKey(other.to_string()))),
        }
    }
    let different: BTreeSet<&KeyId> = verified.by.iter().map(|voucher| &voucher.key).collect();
    let (wanted, found) = (min_keys.max(1), different.len());
    if found >= wanted {
        return Ok(Answer::Verified(verified));
    }
    let why = Why::TooFewKeys { wanted, found };
    Ok(Answer::Refused(Refused::of(verified.passed_over, (found > 0).then(|| why.to_string()))))
}

/// Whether a signature is by one of the keys, and says what it must say.
fn counts(
    keys: &AcceptedKeys,
    check: &InTime<'_>,
    (digest, role): (&Digest, Role),
    signature: &Signature,
) -> Result<KeyId, CheckError> {
    let (key, payload) = match signature {
        Signature::Simple(envelope) => {
            let rings: Vec<&[u8]> = keys.openpgp.iter().map(Vec::as_slice).collect();
            let opened = check.open_simple(&rings, envelope)?;
            (opened.key, Payload::decode(&opened.payload, PayloadType::Atomic).map_err(Refusal::from)?)
        }
        Signature::Cosign(signature) => {
            let (key, payload) = signature.verify(&keys.sigstore)?;
            check.old(payload.timestamp)?;
            (key, payload)
        }
        Signature::Bundle(bundle) => {
            let (key, _) = Bundle::decode(bundle)?.verify(&keys.sigstore, digest, SIGNED_PREDICATE)?;
            keys.names.check_nameless().map_err(Refusal::Bad)?;
            // A bundle has no place for a time that the key vouches for.
            check.old(None)?;
            return Ok(key);
        }
    };
    if payload.digest != *digest {
        return Err(Refusal::Bad(format!("it is of {}, not of {digest}", payload.digest)).into());
    }
    keys.names.check(&payload.reference, (digest, role)).map_err(Refusal::Bad)?;
    Ok(key)
}

fn by_policy(
    (rules, files): (&Rules<'_>, &KeyFiles),
    check: &InTime<'_>,
    digest: &Digest,
    found: &[FoundSignature],
    min_keys: usize,
) -> Result<Answer, VerifyError> {
    let mut unreadable = Vec::new();
    let (mut known, mut signatures) = (Vec::new(), Vec::new());
    for one in found {
        match one.signature.as_ref().map_err(Clone::clone).and_then(of_policy) {
            Ok(signature) => {
                known.push(one);
                signatures.push(signature);
            }
            Err(refusal) => unreadable.push(passed_over(one, refusal)),
        }
    }
    // Where nothing is demanded nobody can be counted; whoever wants keys has to look at that himself.
    let wanted = if rules.look_at_signatures() { min_keys } else { 0 };
    let at = |index: usize| known.get(index).copied();
    let passed = |looked: &[policy::Looked]| {
        let each = looked.iter().filter_map(|one| Some(passed_over(at(one.index)?, one.refusal.clone())));
        each.chain(unreadable.iter().cloned()).collect::<Vec<_>>()
    };
    match rules.judge_with_keys(wanted, (digest, &signatures), files, check) {
        Ok(verdict) => {
            let by = verdict.counted.iter();
            let by = by.filter_map(|(index, key)| Some(voucher(at(*index)?, key.clone()))).collect();
            Ok(Answer::Verified(Verified { by, passed_over: passed(&verdict.passed_over) }))
        }
        Err(denied) => match denied.why {
            Why::Key(source) => Err(unusable(&denied.at, source)),
            Why::KeyFile(ref path) => {
                Err(unusable(&denied.at, SignError::NotAKey(format!("{} was not read", path.display()))))
            }
            Why::Unsigned | Why::TooFewKeys { .. } => {
                Ok(Answer::Refused(Refused::of(unreadable, Some(denied.to_string()))))
            }
            Why::Refused(ref looked) => Ok(Answer::Refused(Refused::denied(&denied, passed(looked)))),
            _ => Ok(Answer::Refused(Refused::denied(&denied, unreadable))),
        },
    }
}

/// A signature as policies know it.
fn of_policy(signature: &Signature) -> Result<policy::Signature, Refusal> {
    match signature {
        Signature::Simple(envelope) => Ok(policy::Signature::Simple(envelope.to_vec())),
        Signature::Cosign(signature) => {
            let (payload, signature) = (signature.payload().to_vec(), signature.bare()?);
            Ok(policy::Signature::Sigstore { payload, signature })
        }
        Signature::Bundle(_) => Err(Refusal::Unreadable("policies know no bundles".to_owned())),
    }
}

fn unusable(of: &str, source: SignError) -> VerifyError {
    VerifyError::Key { of: of.to_owned(), source }
}

/// What is told of a signature that a key has verified.
fn voucher(found: &FoundSignature, key: KeyId) -> Voucher {
    let claims =
        found.signature.as_ref().ok().and_then(|signature| claims(signature).ok()).unwrap_or_default();
    let (form, at) = (found.form, found.at.clone());
    Voucher { key, form, at, identity: claims.identity, timestamp: claims.timestamp }
}

fn passed_over(found: &FoundSignature, refusal: Refusal) -> PassedOver {
    PassedOver { form: found.form, at: found.at.clone(), refusal }
}
