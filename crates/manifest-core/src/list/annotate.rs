//! Edits of what entries and lists say about themselves.

use std::collections::BTreeSet;

use super::{EditError, List, OnConflict, Slot, taken};
use crate::descriptor::{Annotations, Descriptor};
use crate::{Digest, MediaType, Platform};

/// A change to one entry; what is `None` or empty stays as it is.
///
/// An empty text clears a field. An architecture without a variant clears the variant, since a variant means
/// something only together with its architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct Annotate {
    /// The operating system.
    pub os: Option<String>,
    /// The architecture.
    pub arch: Option<String>,
    /// The variant of the architecture.
    pub variant: Option<String>,
    /// The version of the operating system.
    pub os_version: Option<String>,
    /// Features of the operating system that the image needs.
    pub os_features: Option<Vec<String>>,
    /// Features of the processor; only a Docker manifest list can carry them.
    pub features: Option<Vec<String>>,
    /// The type of the artifact.
    pub artifact_type: Option<String>,
    /// Annotations to set.
    pub annotations: Annotations,
    /// Annotations to remove, by key.
    pub remove_annotations: Vec<String>,
    /// What happens when the entry comes to stand for the platform of another.
    pub on_conflict: OnConflict,
}

/// A change to the list as a whole; what is `None` or empty stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct AnnotateList {
    /// The type of the artifact; an empty text clears it.
    pub artifact_type: Option<String>,
    /// The manifest that the list is about.
    pub subject: Option<Descriptor>,
    /// Annotations to set.
    pub annotations: Annotations,
    /// Annotations to remove, by key.
    pub remove_annotations: Vec<String>,
}

impl Annotate {
    /// Whether any field of the platform is to change.
    pub const fn changes_platform(&self) -> bool {
        self.os.is_some()
            || self.arch.is_some()
            || self.variant.is_some()
            || self.os_version.is_some()
            || self.os_features.is_some()
            || self.features.is_some()
    }

    /// Applies the change to a descriptor.
    ///
    /// # Errors
    /// [`EditError::HalfPlatform`] when the platform would lack its architecture or its operating system; the
    /// descriptor is as it was then.
    pub fn apply(&self, entry: &mut Descriptor) -> Result<(), EditError> {
        if self.changes_platform() {
            let platform = self.platform(entry.platform.clone().unwrap_or_default());
            let blank = Platform { extra: platform.extra.clone(), ..Platform::default() };
            if platform != blank && (platform.os.is_empty() || platform.architecture.is_empty()) {
                return Err(EditError::HalfPlatform(entry.digest));
            }
            entry.platform = Some(platform).filter(|platform| *platform != Platform::default());
        }
        if let Some(text) = &self.artifact_type {
            entry.artifact_type = filled(text).map(MediaType::from);
        }
        set_annotations(&mut entry.annotations, &self.annotations, &self.remove_annotations);
        Ok(())
    }

    fn platform(&self, mut platform: Platform) -> Platform {
        if let Some(os) = &self.os {
            platform.os.clone_from(os);
        }
        if let Some(arch) = &self.arch {
            platform.architecture.clone_from(arch);
            platform.variant = None;
        }
        if let Some(variant) = &self.variant {
            platform.variant = filled(variant);
        }
        if let Some(version) = &self.os_version {
            platform.os_version = filled(version);
        }
        if let Some(features) = &self.os_features {
            platform.os_features.clone_from(features);
        }
        if let Some(features) = &self.features {
            platform.features.clone_from(features);
            // What an OCI index had under that name would stand beside it in a Docker list.
            platform.extra.remove("features");
        }
        platform
    }
}

impl List {
    /// Changes every entry with this digest.
    ///
    /// Only an entry whose platform changes can conflict with others; what shared a platform before may go on
    /// doing so. With [`OnConflict::Replace`] the others give way, together with their attestations.
    ///
    /// # Errors
    /// [`EditError::NoSuchEntry`]; [`EditError::HalfPlatform`]; [`EditError::PlatformTaken`] when the entry would
    /// come to stand for the platform of another.
    pub fn annotate(&mut self, at: &Digest, change: &Annotate) -> Result<(), EditError> {
        if self.entry(at).is_none() {
            return Err(EditError::NoSuchEntry(*at));
        }
        let mut changed = self.clone();
        for entry in changed.entries.iter_mut().filter(|entry| entry.digest == *at) {
            change.apply(entry)?;
        }
        if changed.entries == self.entries {
            return Ok(());
        }
        let pairs = changed.entries.iter().zip(&self.entries);
        let moved: BTreeSet<Slot> =
            pairs.filter(|(new, old)| new.slot() != old.slot()).filter_map(|(new, _)| new.slot()).collect();
        for slot in moved {
            changed.settle(at, &slot, change.on_conflict)?;
        }
        changed.touch();
        *self = changed;
        Ok(())
    }

    /// Makes room for the entry `at`, which came to stand for `slot`.
    fn settle(&mut self, at: &Digest, slot: &Slot, on_conflict: OnConflict) -> Result<(), EditError> {
        let all = self.positions(|there| there.slot().as_ref() == Some(slot));
        let (own, others): (Vec<&Descriptor>, Vec<&Descriptor>) =
            self.at(&all).partition(|there| there.digest == *at);
        // The same content may have stood for two platforms and now stands twice for one.
        let rival = others.first().or_else(|| own.get(1));
        match (on_conflict, rival, own.first()) {
            (OnConflict::Refuse, Some(rival), _) => return Err(taken(rival)),
            (OnConflict::Replace, Some(_), Some(entry)) => {
                let entry = (*entry).clone();
                self.replace(&all, entry);
            }
            (OnConflict::Refuse | OnConflict::Replace | OnConflict::Allow, _, _) => {}
        }
        Ok(())
    }

    /// Changes the list as a whole.
    pub fn annotate_list(&mut self, change: &AnnotateList) {
        let mut annotations = self.annotations.clone();
        set_annotations(&mut annotations, &change.annotations, &change.remove_annotations);
        if annotations != self.annotations {
            self.touch().annotations = annotations;
        }
        if let Some(text) = &change.artifact_type {
            self.set_artifact_type(filled(text).map(MediaType::from));
        }
        if let Some(subject) = &change.subject {
            self.set_subject(Some(subject.clone()));
        }
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn set_annotations(annotations: &mut Annotations, set: &Annotations, remove: &[String]) {
    remove.iter().for_each(|key| drop(annotations.remove(key)));
    annotations.extend(set.iter().map(|(key, value)| (key.clone(), value.clone())));
}
