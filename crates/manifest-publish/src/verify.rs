//! Whether lists, images and everything in them are signed by whom they must be signed.
//!
//! What is verified is what a place gives for a digest, and the digests are compared here. A signature is read strictly, then its
//! bytes are checked with a key, and only then what it says is compared with what was asked for. What is not good is one of
//! the answers of [`Refusal`], and none of them is success; nor is an entry that cannot be read.

mod answer;
mod judge;
mod name;
mod walk;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_core::{Descriptor, Digest, Platform};
use manifest_sign::policy::{KeyCheck, KeyFiles, Rules};
use manifest_sign::sigstore::SigstoreVerifier;
use manifest_sign::{Claims, Refusal, SignError};
use manifest_transport::{Fetched, Place, Signatures};

use crate::error::PublishError;
use crate::signing::{FoundSignature, Room, Share, Signature, SignatureForm, find};

pub use answer::{Answer, PassedOver, Refused, Verified, Voucher};
pub use name::{NameRule, Names};

/// The keys that are accepted.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AcceptedKeys {
    /// Rings of OpenPGP certificates, as they lie in files.
    pub openpgp: Vec<Vec<u8>>,
    /// Plain keys.
    pub sigstore: SigstoreVerifier,
    /// What signatures must say that the images are.
    pub names: Names,
}

/// Who must have signed.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_enums, reason = "there is no third")]
pub enum VerifyBy<'a> {
    /// Any of these keys. All forms of signatures count.
    Keys(AcceptedKeys),
    /// Whoever a policy names for the image, under the name that it was asked for by; children are judged under the same
    /// name, as by those who pull them. Only signatures that the policy knows of count, which bundles are not.
    Policy(Rules<'a>, KeyFiles),
}

/// What must be signed in a list; of an image that is not in a list, the image itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing else in a list")]
pub enum Required {
    /// The list only.
    List,
    /// Everything in it.
    Children,
    /// The list and everything in it.
    #[default]
    Both,
}

/// How it is verified.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct VerifyOptions {
    /// What must be signed.
    pub required: Required,
    /// The platforms whose images are looked at; all when there are none.
    pub platforms: Vec<Platform>,
    /// Whether lists in the list are looked into.
    pub recursive: bool,
    /// How many different keys must have signed each.
    pub min_keys: usize,
    /// Before this time, in seconds since 1970, no signature may have been made; one that names no time does not count then.
    pub signed_after: Option<i64>,
    /// How much is read at once.
    pub jobs: usize,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            required: Required::Both,
            platforms: Vec::new(),
            recursive: false,
            min_keys: 1,
            signed_after: None,
            jobs: 1,
        }
    }
}

/// What something is in what is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Role {
    /// The list that was asked for.
    List,
    /// The image that was asked for.
    Image,
    /// An entry of the list, or of a list in it.
    Child,
}

impl Role {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Image => "image",
            Self::Child => "child",
        }
    }
}

/// The answer for one digest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Checked {
    /// What it is about, as the list describes it.
    pub subject: Descriptor,
    /// What it is.
    pub role: Role,
    /// The answer.
    pub answer: Answer,
}

/// Why it cannot be told whether something is signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Something could not be read, or is not what the list says of it.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// There is nothing in the list for a platform.
    #[error("{list} has no image for {wanted}")]
    NoSuchPlatform {
        /// The list.
        list: Digest,
        /// The platform.
        wanted: String,
    },
    /// Nothing is in the list, and what is in it is what was to be verified.
    #[error("{0} has no entries, so that nothing in it is signed")]
    Nothing(Digest),
    /// A key cannot be used.
    #[error("{of} cannot be used")]
    Key {
        /// The key, or the place in a policy that names it.
        of: String,
        /// Why not.
        source: SignError,
    },
}

/// Verifies a list or an image that was read from a place. `simple` are its simple signatures
/// ([`Transport::signatures`](manifest_transport::Transport::signatures)), `check` knows the keys.
///
/// The manifest of every child that must be signed is read, so that one that is missing is noticed; then its signatures, in the
/// forms that can count and no others. The answers are in the order of the list, the list itself first.
///
/// # Errors
/// [`VerifyError`], when there is no answer. That something is not signed is an answer.
pub async fn verify(
    place: &Place,
    simple: Option<&Signatures>,
    subject: &Fetched,
    (by, check): (&VerifyBy<'_>, &dyn KeyCheck),
    options: &VerifyOptions,
) -> Result<Vec<Checked>, VerifyError> {
    let found = walk::walk(place, subject, options, walk::Children::Read).await?;
    let (room, forms) = (Room::default(), by.forms());
    let one = |(subject, role): (Descriptor, Role)| {
        let (room, forms) = (&room, &forms);
        async move {
            let mut share = Share::of(room);
            let found = find(place, &subject.digest, forms, simple, &mut share).await?;
            let answer = judge::judge((by, check), (&subject.digest, role), &found, options)?;
            Ok(Checked { subject, role, answer })
        }
    };
    stream::iter(found).map(one).buffered(options.jobs.max(1)).try_collect().await
}

/// Whether manifests may be taken from a place, by their digests alone. Where nothing is known of signatures there is no
/// place.
///
/// # Errors
/// [`VerifyError`], when there is no answer.
pub async fn judge_taken(
    place: Option<&Place>,
    simple: Option<&Signatures>,
    digests: &[Digest],
    (by, check): (&VerifyBy<'_>, &dyn KeyCheck),
    jobs: usize,
) -> Result<Vec<(Digest, Answer)>, VerifyError> {
    let (room, forms, options) = (Room::default(), by.forms(), VerifyOptions::default());
    let one = |digest: &Digest| {
        let (room, forms, options, digest) = (&room, &forms, &options, *digest);
        async move {
            let mut share = Share::of(room);
            let found = match place {
                Some(place) => find(place, &digest, forms, simple, &mut share).await?,
                None => Vec::new(),
            };
            let answer = judge::judge((by, check), (&digest, Role::Child), &found, options)?;
            Ok((digest, answer))
        }
    };
    stream::iter(digests).map(one).buffered(jobs.max(1)).try_collect().await
}

/// What was found of one digest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listed {
    /// What it is about, as the list describes it.
    pub subject: Descriptor,
    /// What it is.
    pub role: Role,
    /// Its signatures.
    pub signatures: Vec<ListedSignature>,
}

/// A signature as it is told of: nobody vouches for any of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListedSignature {
    /// How it is kept.
    pub form: SignatureForm,
    /// Where it stands.
    pub at: String,
    /// What it says, or why it cannot be read.
    pub claims: Result<Claims, Refusal>,
}

/// Lists the signatures of a list and of everything in it, in all forms; nothing is verified, and no child is read.
///
/// # Errors
/// [`VerifyError`], when the place cannot be read.
pub async fn list_signatures(
    place: &Place,
    simple: Option<&Signatures>,
    subject: &Fetched,
    options: &VerifyOptions,
) -> Result<Vec<Listed>, VerifyError> {
    let found = walk::walk(place, subject, options, walk::Children::Named).await?;
    let room = Room::default();
    let one = |(subject, role): (Descriptor, Role)| {
        let room = &room;
        async move {
            let mut share = Share::of(room);
            let found = find(place, &subject.digest, &SignatureForm::ALL, simple, &mut share).await?;
            Ok(Listed { subject, role, signatures: found.into_iter().map(listed).collect() })
        }
    };
    stream::iter(found).map(one).buffered(options.jobs.max(1)).try_collect().await
}

fn listed(found: FoundSignature) -> ListedSignature {
    let FoundSignature { form, at, signature } = found;
    ListedSignature { form, at, claims: signature.and_then(|signature| claims(&signature)) }
}

/// What a signature says.
fn claims(signature: &Signature) -> Result<Claims, Refusal> {
    match signature {
        Signature::Simple(envelope) => Claims::of_simple(envelope),
        Signature::Cosign(signature) => Claims::of_cosign(signature),
        Signature::Bundle(bundle) => Claims::of_bundle(bundle),
    }
}

impl VerifyBy<'_> {
    /// The forms of signatures that can count.
    fn forms(&self) -> Vec<SignatureForm> {
        let (simple, cosign, bundle) = match self {
            Self::Keys(keys) => {
                let sigstore = !keys.sigstore.keys().is_empty();
                (!keys.openpgp.is_empty(), sigstore, sigstore)
            }
            Self::Policy(rules, _) => (rules.look_at_simple(), rules.look_at_sigstore(), false),
        };
        let all = [
            (SignatureForm::Simple, simple),
            (SignatureForm::Cosign, cosign),
            (SignatureForm::Bundle, bundle),
        ];
        all.into_iter().filter_map(|(form, counts)| counts.then_some(form)).collect()
    }
}
