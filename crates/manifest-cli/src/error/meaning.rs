//! What each error means: a word for programs, the exit code, and what would help.

use std::io;

use manifest_core::{EditError, EncodeError, Format};
use manifest_publish::verify::VerifyError;
use manifest_publish::{ImportError, PublishError, Refusal, ResolveError};
use manifest_sign::SignError;
use manifest_sign::policy::PolicyError;
use manifest_store::{HeldBy, StoreError};
use manifest_transport::auth::CredentialError;
use manifest_transport::{ArchiveError, TransportError};

use super::{CliError, Signal};

/// What an error means: a word for programs, the exit code, and what would help.
pub(super) struct Meaning {
    pub(super) kind: &'static str,
    pub(super) exit: u8,
    pub(super) hint: Option<String>,
}

const fn meaning(kind: &'static str, exit: u8) -> Meaning {
    Meaning { kind, exit, hint: None }
}

impl Meaning {
    fn hint(self, text: impl Into<String>) -> Self {
        Self { hint: Some(text.into()), ..self }
    }
}

impl CliError {
    pub(super) fn meaning(&self) -> Meaning {
        match self {
            Self::Misuse(_, hint) => meaning("misuse", 2).hint(*hint),
            Self::Name(..) => meaning("invalid_reference", 2)
                .hint("a list is named [HOST/]NAME[:TAG] in lower case; app stands for localhost/app:latest"),
            Self::Location(_) => meaning("invalid_reference", 2).hint(IMAGES),
            Self::Store(error) => store(error),
            Self::Edit(error) => edit(error),
            Self::Encode(error) => encode(error),
            Self::Resolve(error) => resolve(error),
            Self::Publish(error) => publish(error),
            Self::Import(error) => import(error),
            Self::Held { lists_only, .. } => held(*lists_only),
            Self::NoSuchPlatform(..) => meaning("no_such_platform", 3),
            Self::Configuration(_) => {
                meaning("configuration", 2).hint("docs/configuration.md lists what the files may hold")
            }
            Self::NoLogin(_) => meaning("login_not_found", 3).hint("manifest login HOST keeps one"),
            Self::NotRemembered(_) => {
                meaning("not_remembered", 3).hint("manifest cache ls shows what is remembered")
            }
            Self::NothingCutOff(_) => {
                meaning("nothing_cut_off", 3).hint("manifest publications shows what became of each push")
            }
            Self::NoSuchPublication(_) => {
                meaning("no_such_publication", 3).hint("manifest publications shows those there are")
            }
            Self::Advised(error, hint) => error.meaning().hint(hint),
            Self::File(_, _, error) if error.kind() == io::ErrorKind::NotFound => {
                meaning("file_not_found", 3)
            }
            Self::File(_, _, error) => Meaning { hint: None, ..io_error(error, "", None) },
            Self::Exists(_) => meaning("exists", 4).hint("--replace takes its place"),
            Self::Key(_, _, error) | Self::GnupgKey(_, error) => key(error),
            Self::NotDeleted(_) => {
                meaning("not_deleted", 5).hint("registries have a setting that allows it; others do it in their own interface")
            }
            Self::NotPushed(_) => meaning("not_pushed", 3)
                .hint("manifest push LIST --sign-key FILE signs while it pushes; docker://HOST/REPOSITORY:TAG names what is there"),
            Self::Verify(error) => verify(error),
            Self::NotVerified(not_signed) => answer(not_signed.answer)
                .hint(format!("manifest signatures {} shows the signatures that there are", not_signed.target)),
            Self::NotLetIn(not_signed) => answer(not_signed.answer)
                .hint("nothing was added; --policy FILE names another policy, --policy none asks none"),
            Self::Policy(error) => policy(error),
            Self::Output(_) | Self::Start(_) => meaning("io", 12),
            Self::ClosedPipe => meaning("closed_pipe", 0),
            Self::Interrupted(Signal::Interrupt) => meaning("interrupted", 130),
            Self::Interrupted(Signal::Terminate) => meaning("terminated", 143),
        }
    }
}

/// How images are named.
const IMAGES: &str = "images are docker://HOST/REPOSITORY[:TAG][@DIGEST], oci:DIRECTORY[:NAME], dir:DIRECTORY, \
     oci-archive:FILE[:NAME], docker-archive:FILE[:NAME] or store:LIST";

fn held(lists_only: bool) -> Meaning {
    let hint = if lists_only {
        "remove those lists first, or their entries of it; --force removes it all the same"
    } else {
        "manifest release LIST --by WHO ends a hold; --force removes it all the same"
    };
    meaning("held", 4).hint(hint)
}

fn store(error: &StoreError) -> Meaning {
    match error {
        StoreError::NotFound(_) => meaning("list_not_found", 3).hint("manifest ls shows the lists there are"),
        StoreError::NoBlob(_) => meaning("blob_not_found", 3)
            .hint("the store keeps what was imported or pulled; manifest df counts it"),
        StoreError::NotThatContent { .. } => meaning("bad_content", 7),
        StoreError::ShortGrace { .. } => {
            meaning("misuse", 2).hint("--no-writers says that nobody else uses the store at the moment")
        }
        StoreError::NameTaken { .. } => meaning("name_taken", 4)
            .hint("--if-exists amend adds to the list that is there, --if-exists replace starts anew"),
        StoreError::SeveralNames { .. } => {
            meaning("several_names", 4).hint("name one of them to remove that name only, or add --force")
        }
        StoreError::Held { by, .. } => held(by.iter().all(|by| matches!(by, HeldBy::List(_)))),
        StoreError::NotAList(_) => meaning("not_a_list", 2)
            .hint("an image is kept as it is; manifest add LIST IMAGE puts it into a list"),
        StoreError::NoManifest(_) => meaning("bad_content", 7),
        StoreError::NothingToUndo(_) => {
            meaning("nothing_to_undo", 3).hint("manifest history LIST shows what was done")
        }
        StoreError::NoSuchChange { .. } => {
            meaning("no_such_change", 3).hint("manifest history LIST shows the numbers")
        }
        StoreError::AmbiguousId { .. } => meaning("ambiguous_id", 2).hint("give more digits of the id"),
        StoreError::Busy(..) => meaning("busy", 9).hint("--lock-timeout waits longer"),
        StoreError::LeaseLost(..) => meaning("busy", 9)
            .hint("this process stood still for too long, and another one has taken its turn; run the command again"),
        StoreError::Damaged { .. } => meaning("damaged", 7)
            .hint("manifest fsck tells what is lost; put the file back from a backup, or let fsck --repair move it aside"),
        StoreError::NewerVersion { .. } => meaning("newer_version", 7).hint("update this program"),
        StoreError::Unencodable(error) => encode(error),
        StoreError::NotDurable(..) => {
            meaning("not_durable", 11).hint("run the command again; that is harmless")
        }
        StoreError::TooLarge(_) | StoreError::NotToBeKept(_) => meaning("too_large", 2),
        StoreError::Address { .. } => meaning("store_address", 2).hint(
            "a store is a directory, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX; what else a \
             cloud needs comes from its environment variables, such as AZURE_STORAGE_ACCOUNT_NAME",
        ),
        StoreError::NoSharedStores(_) => meaning("store_address", 2)
            .hint("build manifest with its default features, or name a directory"),
        StoreError::BrokenPromise { .. } => meaning("store_unsafe", 12)
            .hint("a store needs a service that keeps conditional writes, as S3, Azure and Google do"),
        StoreError::Forbidden(..) => meaning("store_forbidden", 6)
            .hint("the login comes from the environment variables of the cloud, such as AWS_ACCESS_KEY_ID"),
        StoreError::Unreachable(..) => meaning("store_unreachable", 5)
            .hint("nothing was changed; check the endpoint and region in the environment"),
        StoreError::Uncertain(..) => {
            meaning("not_certain", 11).hint("manifest history shows whether it was made; doing it again is harmless")
        }
        StoreError::NoLocks(..) => {
            meaning("no_locks", 12).hint("--store names a directory on another file system")
        }
        StoreError::Io(_, _, error) => {
            io_error(error, "nothing was changed", Some("--store or $MANIFEST_STORE names another directory"))
        }
        _ => meaning("bug", 70),
    }
}

/// A refusal of the system; `changed` says what became of the store or target, `elsewhere` where else to go.
fn io_error(error: &io::Error, changed: &str, elsewhere: Option<&str>) -> Meaning {
    match (error.kind(), elsewhere) {
        (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => {
            meaning("disk_full", 12).hint(format!("{changed}; free some space and run the command again"))
        }
        (io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem, Some(elsewhere)) => {
            meaning("permission", 12).hint(elsewhere)
        }
        (io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem, None) => {
            meaning("permission", 12)
        }
        _ => meaning("io", 12),
    }
}

fn edit(error: &EditError) -> Meaning {
    match error {
        EditError::NoSuchEntry(_) => {
            meaning("entry_not_found", 3).hint("manifest inspect LIST shows the entries")
        }
        EditError::PlatformTaken { .. } => meaning("platform_taken", 4)
            .hint("--replace puts the new image in its place, --allow-duplicate keeps both"),
        EditError::HalfPlatform(_) => meaning("misuse", 2).hint("give --os and --arch together"),
        _ => meaning("bug", 70),
    }
}

fn encode(error: &EncodeError) -> Meaning {
    match error {
        EncodeError::NotRepresentable { format: Format::Docker, .. } => meaning("not_representable", 8)
            .hint("--format oci writes an OCI image index, which has a place for it"),
        EncodeError::NotRepresentable { .. } => meaning("not_representable", 8)
            .hint("--format v2s2 writes a Docker manifest list, which has a place for it"),
        EncodeError::OciChild { .. } => meaning("oci_child", 8)
            .hint("--format oci writes an OCI image index, which holds images of both kinds"),
        EncodeError::TooLarge(_) => meaning("too_large", 8).hint("registries refuse larger manifests"),
        _ => meaning("bug", 70),
    }
}

fn resolve(error: &ResolveError) -> Meaning {
    match error {
        ResolveError::Transport(error) => transport(error),
        ResolveError::Store(error) => store(error),
        ResolveError::Place(..) => meaning("damaged", 7),
        ResolveError::SeveralPlatforms { .. } => {
            meaning("several_platforms", 2).hint("--all adds every one, --platform OS/ARCH one of them")
        }
        ResolveError::NoSuchPlatform { .. } => meaning("no_such_platform", 3),
        ResolveError::TooDeep(_)
        | ResolveError::TooMany(_)
        | ResolveError::Config { .. }
        | ResolveError::Untrue(_) => meaning("bad_content", 7),
        _ => meaning("bug", 70),
    }
}

fn publish(error: &PublishError) -> Meaning {
    match error {
        PublishError::Transport(error) | PublishError::Copy { source: error, .. } => transport(error),
        PublishError::Encode(error) => encode(error),
        PublishError::Store(error) => store(error),
        PublishError::Place(..) => meaning("damaged", 7),
        PublishError::NoSource(_) => {
            meaning("no_source", 3).hint("add the image again, or push with --all=false if the target has it")
        }
        PublishError::Untrue { .. }
        | PublishError::TooDeep(_)
        | PublishError::ReferrersTooDeep(_)
        | PublishError::TooManyReferrers => meaning("bad_content", 7),
        PublishError::Refused(refusals) => meaning("gate", 8).hint(gate(refusals)),
        PublishError::Unexpected { .. } => {
            meaning("moved", 4).hint("manifest inspect TARGET shows what is there")
        }
        PublishError::Overtaken { .. } => {
            meaning("moved", 4).hint("push again; with --on-conflict merge what the tag has for other platforms is merged into what is pushed")
        }
        PublishError::NotMergeable(_) => {
            meaning("not_mergeable", 4).hint("manifest inspect TARGET shows what is there; without --on-conflict merge it is replaced")
        }
        PublishError::Unsettled { .. } => meaning("unsettled", 5).hint("--settle waits longer"),
        PublishError::TagStuck { source, .. } => publish(source),
        PublishError::Ended(_) => meaning("nothing_cut_off", 3),
        PublishError::Sign(error) => key(error),
        PublishError::Predicate(_) => meaning("misuse", 2).hint(
            "a predicate is a JSON document, and --type a URI or one of the words that manifest attest --help lists",
        ),
        PublishError::CannotHold { .. } => meaning("cannot_hold", 2)
            .hint("nothing was sent; --signature-format chooses another form, --sign-identity says what the images are"),
        PublishError::CannotAddTo { .. } => {
            meaning("cannot_add", 4).hint("look at it with manifest inspect; --signature-format bundle needs no such tag")
        }
        PublishError::SignsOtherwise { .. } => {
            meaning("misuse", 2).hint("give the same keys again, or take it back with manifest push --abort")
        }
        _ => meaning("bug", 70),
    }
}

/// What helps against the gates that refused, each once.
fn gate(refusals: &[Refusal]) -> String {
    let mut hints: Vec<&str> = Vec::new();
    for refusal in refusals {
        let hint = match refusal {
            Refusal::Missing { only_in, .. } if !only_in.is_empty() => {
                "manifest add --all adds what is in a list in the place of the list"
            }
            Refusal::Missing { .. } => "manifest add brings what is missing",
            Refusal::NotAllowed { .. } => "manifest remove takes out what is too much",
            Refusal::Duplicate { .. } => "--allow-duplicate lets several entries be for one platform",
            Refusal::Shrinks { .. } => {
                "--allow-shrink lets a tag lose platforms, --on-conflict merge keeps them"
            }
            Refusal::Untrue { within, .. } if !within.is_empty() => {
                "a list in the list is made anew where it comes from, --check-config none sends it as it is"
            }
            Refusal::Untrue { .. } => {
                "manifest annotate changes what the list says, --check-config none sends it as it is"
            }
            Refusal::OtherMachine { .. } => "the image has to be built anew, or to leave the list",
            _ => continue,
        };
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    format!("no tag was moved; {}", hints.join(", "))
}

fn import(error: &ImportError) -> Meaning {
    match error {
        ImportError::Transport(error) => transport(error),
        ImportError::Store(error) => store(error),
        ImportError::Several { .. } => meaning("several_images", 2)
            .hint("--image IMAGE chooses one, --all imports every one under its own names"),
        ImportError::NoSuchImage { .. } | ImportError::Empty(_) => meaning("image_not_found", 3),
        _ => meaning("bug", 70),
    }
}

fn transport(error: &TransportError) -> Meaning {
    match error {
        TransportError::NotFound(what) if what.contains("docker://") => meaning("image_not_found", 3)
            .hint("registries say the same of what you may not see; --creds or --authfile gives a login"),
        TransportError::NotFound(_) => meaning("image_not_found", 3),
        TransportError::NotAuthorised { .. } => meaning("not_authorised", 6)
            .hint("--creds USER or --authfile FILE gives another login; manifest login keeps one"),
        TransportError::Denied { .. } => meaning("denied", 6)
            .hint("who asks has no right to do this; --creds or --authfile gives another login"),
        TransportError::Realm { .. } => meaning("realm", 6).hint("auth-hosts in config.toml allows it"),
        TransportError::Blocked { .. } => meaning("blocked", 6),
        TransportError::Refused { status: 413, .. } => {
            meaning("refused", 5).hint("the registry takes smaller manifests only")
        }
        // What servers written in Go say, most registries among them.
        TransportError::Refused { status: 400, message, .. } if message.contains("to an HTTPS server") => {
            meaning("refused", 5)
                .hint("--cert-dir DIR or --tls-verify=true speaks TLS to a registry on this machine")
        }
        TransportError::Refused { code, .. } if code == "MANIFEST_INVALID" => meaning("refused", 5)
            .hint("the registry may not take this kind of list; --format chooses another"),
        TransportError::Refused { code, .. } if code.ends_with("BLOB_UNKNOWN") => meaning("refused", 5).hint(
            "the registry lacks something that the list names; push without --all=false brings it along",
        ),
        TransportError::Refused { .. }
        | TransportError::Protocol { .. }
        | TransportError::Untrusted { .. } => meaning("registry", 5),
        TransportError::Exhausted { .. } => {
            meaning("retries_exhausted", 5).hint("--retry N tries more often")
        }
        TransportError::ComeBack { .. } => {
            meaning("rate_limited", 5).hint("--retry-budget TIME waits longer")
        }
        TransportError::Unreachable { message, .. } if message.contains("CaUsedAsEndEntity") => {
            meaning("certificate", 5).hint(
                "the server's certificate calls itself an authority; as NAME.crt in --cert-dir DIR it is accepted",
            )
        }
        TransportError::Unreachable { message, .. } if message.contains("fatal alert") => {
            meaning("certificate", 5)
                .hint("the server wants a certificate of ours: NAME.cert with NAME.key in --cert-dir DIR")
        }
        TransportError::Unreachable { message, .. } if message.contains("certificate") => {
            meaning("certificate", 5).hint(
                "--cert-dir DIR names the authority that signed it; --tls-verify=false does not check it",
            )
        }
        TransportError::Unreachable { .. } => {
            meaning("unreachable", 5).hint("check the name of the registry, and the way to it")
        }
        TransportError::NotALayout(path, _) | TransportError::NotAnImageDirectory(path, _)
            if !path.exists() =>
        {
            meaning("layout_not_found", 3).hint(format!("there is nothing at {}", path.display()))
        }
        TransportError::DigestMismatch { .. }
        | TransportError::SizeMismatch { .. }
        | TransportError::TooLarge { .. }
        | TransportError::Decode { .. }
        | TransportError::Config { .. }
        | TransportError::TooDeep(..)
        | TransportError::TooMany(..)
        | TransportError::TooManyReferrers(..)
        | TransportError::NotReferrers { .. }
        | TransportError::NotALayout(..) => meaning("bad_content", 7),
        TransportError::NotAnImageDirectory(..) => meaning("bad_content", 7)
            .hint("a directory that is written to is new, empty, or has a file version that says dir: wrote it"),
        TransportError::Nameless(_) => meaning("misuse", 2).hint("leave the name out"),
        TransportError::Archive(_, error) => archive(error),
        TransportError::Moved { .. } => meaning("moved", 4).hint(
            "somebody else has set the tag meanwhile; look at it with manifest inspect, and push again",
        ),
        TransportError::Contended { .. } => {
            meaning("moved", 4).hint("wait until others are done, and try again; what they wrote is kept")
        }
        TransportError::Exists(_) => {
            meaning("exists", 4).hint("--replace takes its place, --append adds to a layout")
        }
        TransportError::ReadOnly(_) => {
            meaning("misuse", 2).hint("manifest export LIST --oci-archive FILE writes an archive")
        }
        TransportError::Reader(_, error) => match error.downcast_ref() {
            Some(error) => store(error),
            None => meaning("io", 12),
        },
        TransportError::Credentials(error) => credentials(error),
        TransportError::SignatureStore { .. } => meaning("signature_store", 2)
            .hint("registries.d says where signatures are kept; --signature-format cosign keeps them in the registry"),
        TransportError::LayoutBusy(..) => meaning("busy", 9),
        TransportError::Io(_, _, error) if error.kind() == io::ErrorKind::NotFound => {
            meaning("file_not_found", 3)
        }
        TransportError::Io(_, _, error) => io_error(error, "no name was changed in the layout", None),
        TransportError::Tls { .. } => meaning("tls", 12),
        _ => meaning("bug", 70),
    }
}

/// The worst answer to whether something is signed.
fn answer(word: &str) -> Meaning {
    match word {
        "bad" => meaning("bad_signature", 10),
        "unknown-key" => meaning("unknown_key", 10),
        "expired" => meaning("expired", 10),
        "unreadable" => meaning("unreadable", 10),
        "rejected" => meaning("rejected", 10),
        _ => meaning("unsigned", 10),
    }
}

fn verify(error: &VerifyError) -> Meaning {
    match error {
        VerifyError::Publish(error) => publish(error),
        VerifyError::NoSuchPlatform { .. } => meaning("no_such_platform", 3),
        VerifyError::Nothing(_) => {
            meaning("unsigned", 10).hint("--require-signed list looks at the list alone")
        }
        VerifyError::Key { source, .. } => key(source),
        _ => meaning("bug", 70),
    }
}

fn policy(error: &PolicyError) -> Meaning {
    match error {
        PolicyError::Io(_, error) if error.kind() == io::ErrorKind::NotFound => meaning("file_not_found", 3),
        PolicyError::Io(_, error) => Meaning { hint: None, ..io_error(error, "", None) },
        PolicyError::NotFound(_) => meaning("configuration", 2).hint("--policy FILE names one"),
        _ => meaning("configuration", 2).hint("containers-policy.json(5) says what stands in it"),
    }
}

fn key(error: &SignError) -> Meaning {
    match error {
        SignError::NotAKey(_) => meaning("bad_key", 7),
        SignError::SeveralKeys(_) => meaning("several_keys", 2).hint("name one of them by its fingerprint"),
        // Who gives no passphrase has left out an argument; who gives a wrong one has no right to the key.
        SignError::Locked(_) => meaning("misuse", 2).hint("--sign-passphrase-file FILE holds the passphrase"),
        SignError::WrongPassphrase(_) => meaning("wrong_passphrase", 6)
            .hint("--sign-passphrase-file FILE or $MANIFEST_SIGN_PASSPHRASE gives another one"),
        SignError::CannotSign(..) => meaning("unusable_key", 6),
        SignError::Program { .. } | SignError::Failed(..) => meaning("signing_failed", 12),
        _ => meaning("bug", 70),
    }
}

fn credentials(error: &CredentialError) -> Meaning {
    match error {
        CredentialError::Write(_, error) => {
            io_error(error, "no login was changed", Some("--authfile FILE names another file"))
        }
        CredentialError::Busy(..) => meaning("busy", 9),
        CredentialError::Key(_) => meaning("invalid_reference", 2),
        CredentialError::WholeRegistry(..) => {
            meaning("misuse", 2).hint("name the registry alone, or another file with --authfile")
        }
        _ => meaning("credentials", 6),
    }
}

fn archive(error: &ArchiveError) -> Meaning {
    match error {
        ArchiveError::Spool(error) => {
            let elsewhere =
                "$TMPDIR names a directory with room for what comes through a pipe or is compressed";
            Meaning { hint: Some(elsewhere.to_owned()), ..io_error(error, "", None) }
        }
        ArchiveError::Io(_, error) => Meaning { hint: None, ..io_error(error, "", None) },
        _ => meaning("bad_archive", 7),
    }
}
