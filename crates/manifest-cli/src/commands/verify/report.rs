//! What is told of a verification.

use jiff::Timestamp;
use manifest_publish::verify::{Answer, Checked, PassedOver, Voucher};
use manifest_transport::Fetched;
use serde::Serialize;

use crate::table::{clean, table};

#[derive(Serialize)]
pub(super) struct Report {
    schema: &'static str,
    ok: bool,
    places: Vec<PlaceReport>,
}

/// What was found at one place.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlaceReport {
    pub(super) target: String,
    digest: String,
    media_type: String,
    verified: Vec<AnswerReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswerReport {
    digest: String,
    media_type: String,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    by: Vec<VoucherReport>,
    passed_over: Vec<PassedOverReport>,
}

#[derive(Serialize)]
struct VoucherReport {
    key: String,
    form: &'static str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<String>,
}

#[derive(Serialize)]
struct PassedOverReport {
    form: &'static str,
    at: String,
    answer: &'static str,
    why: String,
}

impl Report {
    pub(super) const fn new(places: Vec<PlaceReport>, ok: bool) -> Self {
        Self { schema: "verify/1", ok, places }
    }

    pub(super) fn text(&self) -> String {
        let one = |place: &PlaceReport| {
            let head = ["PLATFORM", "DIGEST", "ANSWER", "KEY", "FORM", ""].map(str::to_owned).to_vec();
            let rows = std::iter::once(head).chain(place.verified.iter().map(AnswerReport::row));
            table(&rows.collect::<Vec<_>>())
        };
        let several = self.places.len() > 1;
        let titled = |place: &PlaceReport| match several {
            true => format!("{}\n{}", clean(&place.target), one(place)),
            false => one(place),
        };
        self.places.iter().map(titled).collect::<Vec<_>>().join("\n")
    }
}

impl PlaceReport {
    pub(super) fn new(target: &str, subject: &Fetched, checked: &[Checked]) -> Self {
        Self {
            target: target.to_owned(),
            digest: subject.digest.to_string(),
            media_type: subject.media_type.to_string(),
            verified: checked.iter().map(AnswerReport::from).collect(),
        }
    }
}

impl AnswerReport {
    fn row(&self) -> Vec<String> {
        let joined = |each: &mut dyn Iterator<Item = &str>| {
            let mut all: Vec<&str> = Vec::new();
            each.for_each(|one| {
                if !all.contains(&one) {
                    all.push(one);
                }
            });
            if all.is_empty() { "-".to_owned() } else { all.join(",") }
        };
        let platform = self.platform.clone().unwrap_or_else(|| self.role.to_owned());
        let keys = joined(&mut self.by.iter().map(|by| by.key.as_str()));
        let forms = joined(&mut self.by.iter().map(|by| by.form));
        let why = self.why.clone().unwrap_or_default();
        let row = [platform, self.digest.clone(), self.answer.to_owned(), keys, forms, why];
        row.iter().map(|cell| clean(cell)).collect()
    }
}

impl From<&Checked> for AnswerReport {
    fn from(checked: &Checked) -> Self {
        let Checked { subject, role, answer: found, .. } = checked;
        let (word, why, by, passed_over) = match found {
            Answer::Verified(verified) => ("verified", None, &verified.by[..], &verified.passed_over),
            Answer::Refused(refused) => (refused.kind(), Some(refused.text()), &[][..], &refused.looked),
        };
        Self {
            digest: subject.digest.to_string(),
            media_type: subject.media_type.to_string(),
            role: role.as_str(),
            platform: subject.platform.as_ref().map(ToString::to_string),
            answer: word,
            why,
            by: by.iter().map(VoucherReport::from).collect(),
            passed_over: passed_over.iter().map(PassedOverReport::from).collect(),
        }
    }
}

impl From<&Voucher> for VoucherReport {
    fn from(voucher: &Voucher) -> Self {
        Self {
            key: voucher.key.to_string(),
            form: voucher.form.as_str(),
            at: voucher.at.clone(),
            identity: voucher.identity.clone(),
            signed: voucher.timestamp.and_then(when),
        }
    }
}

impl From<&PassedOver> for PassedOverReport {
    fn from(passed: &PassedOver) -> Self {
        let (form, at) = (passed.form.as_str(), passed.at.clone());
        Self { form, at, answer: passed.refusal.kind(), why: passed.refusal.to_string() }
    }
}

/// A time that a signature names, if there is such a time.
pub(crate) fn when(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}
