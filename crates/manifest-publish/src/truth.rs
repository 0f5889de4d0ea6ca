//! Whether entries are what a list says of them, looked at before anything is sent.

mod look;
mod walk;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use manifest_store::Store;
use manifest_transport::Transport;

use self::look::{Looking, Seen};
use self::walk::Walked;
use crate::check::{
    About, DeepLimits, Finding, LOOKED_INTO_AT_ONCE, Severity, Unchecked, check_programs, contradiction,
};
use crate::deliver::copy_error;
use crate::error::PublishError;
use crate::gate::{Gates, Refusal};
use crate::push::Content;
use crate::survey::Origins;

/// Which entries are compared with their configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "none, some or all")]
pub enum CheckConfig {
    /// None.
    None,
    /// Those whose configuration is at hand without a request: the store holds or remembers it, or it lies in a layout.
    #[default]
    Known,
    /// All; what is not at hand is read.
    All,
}

/// How far a list is compared with its entries before it is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct TruthOptions {
    /// Which platforms are compared with the configurations.
    pub configs: CheckConfig,
    /// Whether, and how far, programs in the layers are looked at.
    pub programs: Option<DeepLimits>,
}

impl TruthOptions {
    const NOTHING: Self = Self { configs: CheckConfig::None, programs: None };

    /// Whether nothing is compared.
    const fn is_nothing(&self) -> bool {
        matches!(self.configs, CheckConfig::None) && self.programs.is_none()
    }

    /// Whether something that is not at hand is read for it.
    const fn reads(&self) -> bool {
        matches!(self.configs, CheckConfig::All) || self.programs.is_some()
    }
}

/// How far a list was compared with its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Truth {
    /// Entries whose platform was compared with the configuration.
    pub configs: usize,
    /// Entries whose platform was not.
    pub unchecked_configs: Vec<Unchecked>,
    /// Programs whose machine was compared with the platform.
    pub programs: usize,
    /// Entries and layers in which programs were not looked for, or not found.
    pub unchecked_programs: Vec<Unchecked>,
}

/// Compares a list with its entries: platforms with configurations, and programs with platforms where that is wanted.
///
/// It belongs before [`push`](crate::push()), which does not do it itself. The gates that need nothing but the list are
/// judged first. As for them, only entries that run somewhere count. Lists in the list are followed as far as entries are looked
/// at: where something is read for it to the end, elsewhere as far as they are at hand without a request. Their entries are
/// judged by what they say of them, and by the gates as far as these speak of them ([`Gates`]).
///
/// # Errors
/// [`PublishError::Refused`] when the list is not what it must be; [`PublishError::Copy`] when what was asked for cannot be
/// read; [`PublishError::TooDeep`]. What is only looked at because it is at hand is passed over when it cannot be read.
pub async fn judge_truth(
    transport: &Transport,
    content: Content<'_>,
    store: &Store,
    (gates, options): (&Gates, &TruthOptions),
    jobs: usize,
) -> Result<Truth, PublishError> {
    let mut refusals = gates.judge(content.entries);
    // What is refused already is not worth a request.
    let options = if refusals.is_empty() { options } else { &TruthOptions::NOTHING };
    let origins = Origins { transport, sources: content.sources, here: content.here };
    let walked = Looking::new(origins, store, options).walk(content.entries, jobs).await?;
    for refusal in &mut refusals {
        if let Refusal::Missing { required, only_in } = refusal {
            *only_in = walked.list_with(required);
        }
    }
    refusals.extend(walked.lists.iter().flat_map(|(within, entries)| gates.judge_within(within, entries)));
    let mut truth = Truth::default();
    if options.configs != CheckConfig::None {
        refusals.extend(truth.compare(&walked));
    }
    if let Some(limits) = &options.programs {
        refusals.extend(truth.look_into(&walked, limits).await?);
    }
    if refusals.is_empty() { Ok(truth) } else { Err(PublishError::Refused(refusals)) }
}

impl Truth {
    fn compare(&mut self, walked: &Walked) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for entry in &walked.entries {
            match walked.seen_of(entry) {
                // An artifact has no such configuration.
                Some(Seen::Image { image, .. }) if !image.has_platform() => {}
                Some(Seen::Image { config: Ok(config), .. }) => {
                    self.configs += 1;
                    let untrue = config.as_ref().and_then(|config| contradiction(&entry.entry, config));
                    refusals.extend(untrue.map(|Finding { what, .. }| {
                        let (entry, within) = entry.way();
                        Refusal::Untrue { entry, within, what }
                    }));
                }
                Some(Seen::Image { config: Err(why), .. } | Seen::Not(why)) => {
                    self.unchecked_configs.push(entry.unchecked(why));
                }
                None | Some(Seen::List(_)) => {}
            }
        }
        refusals
    }

    async fn look_into(
        &mut self,
        walked: &Walked,
        limits: &DeepLimits,
    ) -> Result<Vec<Refusal>, PublishError> {
        let mut images = Vec::new();
        for entry in &walked.entries {
            match (walked.seen_of(entry), &entry.place, &entry.entry.platform) {
                (Some(Seen::Image { image, .. }), Some(place), Some(platform)) => {
                    if image.has_platform() {
                        images.push((entry, image, platform, place));
                    }
                }
                (Some(Seen::Image { .. }), None, _) => {
                    let why = "cannot be looked into, since nothing is known of where it comes from";
                    self.unchecked_programs.push(entry.unchecked(why));
                }
                (Some(Seen::Not(why)), ..) => self.unchecked_programs.push(entry.unchecked(why)),
                (None | Some(Seen::List(_) | Seen::Image { .. }), ..) => {}
            }
        }
        let looked: Vec<_> = stream::iter(images)
            .map(|(entry, image, platform, place)| async move {
                let checked = check_programs(&entry.entry, image, platform, place, limits).await;
                checked
                    .map(|checked| (entry, checked))
                    .map_err(|source| copy_error(entry.entry.digest, place, source))
            })
            .buffered(LOOKED_INTO_AT_ONCE)
            .try_collect()
            .await?;
        let mut refusals = Vec::new();
        for (entry, checked) in looked {
            self.programs += checked.programs;
            self.unchecked_programs.extend(checked.unchecked);
            for Finding { severity, about, what, .. } in checked.findings {
                match (severity, about) {
                    (Severity::Fault, About::Program) => {
                        let (entry, within) = entry.way();
                        refusals.push(Refusal::OtherMachine { entry, within, what });
                    }
                    (Severity::Fault, _) => {
                        let why = format!("was not looked through to the end: {what}");
                        self.unchecked_programs.push(entry.unchecked(&why));
                    }
                    _ => {}
                }
            }
        }
        Ok(refusals)
    }
}
