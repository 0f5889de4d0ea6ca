//! The faults, the requests at which each can happen, and how a push ends.

use manifest_testkit::{Method, Rule};

/// What a request of a push is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    GetTag,
    HeadManifest,
    HeadBlob,
    PostUpload,
    PutBlob,
    PutManifest,
    PutTag,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::GetTag,
        Self::HeadManifest,
        Self::HeadBlob,
        Self::PostUpload,
        Self::PutBlob,
        Self::PutManifest,
        Self::PutTag,
    ];

    /// The requests of this kind, for a rule.
    pub const fn pattern(self) -> (Method, &'static str) {
        let manifest = "/v2/*/manifests/sha256:*";
        match self {
            Self::GetTag => (Method::Get, "/v2/*/manifests/1.0"),
            Self::HeadManifest => (Method::Head, manifest),
            Self::HeadBlob => (Method::Head, "/v2/*/blobs/sha256:*"),
            Self::PostUpload => (Method::Post, "/v2/*/blobs/uploads/"),
            Self::PutBlob => (Method::Put, "/v2/*/blobs/uploads/*"),
            Self::PutManifest => (Method::Put, manifest),
            Self::PutTag => (Method::Put, "/v2/*/manifests/1.0"),
        }
    }

    /// For the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GetTag => "GET tag",
            Self::HeadManifest => "HEAD manifest",
            Self::HeadBlob => "HEAD blob",
            Self::PostUpload => "POST upload",
            Self::PutBlob => "PUT blob",
            Self::PutManifest => "PUT manifest",
            Self::PutTag => "PUT tag",
        }
    }
}

/// How often a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Often {
    Once,
    Thrice,
    Ever,
}

impl Often {
    pub const ALL: [Self; 3] = [Self::Once, Self::Thrice, Self::Ever];
}

/// How a push ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With exit code 0, and everything is there.
    Well,
    /// With an error of this kind, and the tag is what it was.
    Fails(&'static str),
    /// With an error of this kind, which comes too late for the tag.
    Late(&'static str),
}

/// A fault, where it happens, and how a push through it ends.
#[derive(Debug)]
pub struct Row {
    pub fault: &'static str,
    pub at: &'static [Kind],
    pub act: fn(Rule) -> Rule,
    ends: [End; 3],
}

impl Row {
    pub fn end(&self, often: Often) -> End {
        self.ends[often as usize]
    }
}

use End::{Fails, Late, Well};
use Kind::{GetTag, HeadBlob, HeadManifest, PostUpload, PutBlob, PutManifest, PutTag};

const ALL: &[Kind] = &Kind::ALL;
const HEADS: &[Kind] = &[HeadManifest, HeadBlob];
const PUTS: &[Kind] = &[PutManifest, PutTag];

/// Tried again until it passes.
const PASSES: [End; 3] = [Well, Well, Fails("retries_exhausted")];
/// No fault for a push.
const HARMLESS: [End; 3] = [Well; 3];

const fn ends(kind: &'static str) -> [End; 3] {
    [Fails(kind); 3]
}

const fn row(fault: &'static str, at: &'static [Kind], act: fn(Rule) -> Rule, ends: [End; 3]) -> Row {
    Row { fault, at, act, ends }
}

const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const UNKNOWN: &str = r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;
const INVALID: &str = r#"{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}"#;
const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn page(rule: Rule) -> Rule {
    rule.reply(200).header("content-type", "text/html").body("<html>Please log in</html>")
}

pub const ROWS: &[Row] = &[
    row("429", ALL, |rule| rule.reply(429).body("Too many\nrequests"), PASSES),
    row("429, Retry-After: 0", ALL, |rule| rule.reply(429).header("retry-after", "0"), PASSES),
    row(
        "429, Retry-After: a date",
        ALL,
        |rule| rule.reply(429).header("date", NOW).header("retry-after", NOW),
        PASSES,
    ),
    row("429, Retry-After: soon", ALL, |rule| rule.reply(429).header("retry-after", "soon"), PASSES),
    row(
        "429, Retry-After: 3600",
        ALL,
        |rule| rule.reply(429).header("retry-after", "3600"),
        ends("rate_limited"),
    ),
    row(
        "503, Retry-After: 3600",
        ALL,
        |rule| rule.reply(503).header("retry-after", "3600"),
        ends("rate_limited"),
    ),
    row("408", ALL, |rule| rule.reply(408), PASSES),
    row("499", ALL, |rule| rule.reply(499), PASSES),
    row("500", ALL, |rule| rule.reply(500), PASSES),
    row("502", ALL, |rule| rule.reply(502), PASSES),
    row("503", ALL, |rule| rule.reply(503), PASSES),
    row("504", ALL, |rule| rule.reply(504), PASSES),
    row("522", ALL, |rule| rule.reply(522), PASSES),
    row("501", ALL, |rule| rule.reply(501), ends("registry")),
    row("505", ALL, |rule| rule.reply(505), ends("registry")),
    row("507", ALL, |rule| rule.reply(507), ends("registry")),
    row("511", ALL, |rule| rule.reply(511), ends("registry")),
    row("early 503, the body unread", &[PutBlob, PutManifest, PutTag], |rule| rule.reply_early(503), PASSES),
    row("reset before an answer", ALL, Rule::reset, PASSES),
    row(
        "carried out, then reset",
        &[GetTag, HeadManifest, HeadBlob, PostUpload, PutManifest],
        Rule::apply_then_reset,
        PASSES,
    ),
    row("carried out, then reset", &[PutBlob, PutTag], Rule::apply_then_reset, HARMLESS),
    row("carried out, then 502", &[PutManifest], |rule| rule.apply().status(502), PASSES),
    row("carried out, then 502", &[PutBlob, PutTag], |rule| rule.apply().status(502), HARMLESS),
    row("reset in the body", &[PutBlob], |rule| rule.reset_after_body_bytes(50), PASSES),
    row("reset in the body", &[PutManifest, PutTag], |rule| rule.reset_after_body_bytes(100), PASSES),
    row("answer cut short", &[GetTag], |rule| rule.cut_response_after(20), PASSES),
    row(
        "half of the body lost",
        &[PutBlob],
        |rule| rule.take_only(50),
        [Well, Fails("registry"), Fails("registry")],
    ),
    row("half of the body lost", PUTS, |rule| rule.take_only(50), ends("refused")),
    row("upload forgotten (404)", &[PutBlob], Rule::forget_upload, PASSES),
    row("416", &[PutBlob], |rule| rule.reply(416), PASSES),
    row("413", &[PutBlob, PutManifest, PutTag], |rule| rule.reply(413), ends("refused")),
    row(
        "relative Location",
        &[PostUpload],
        |rule| rule.apply().rewrite("location", |url| url[url.find("/v2/").unwrap()..].to_owned()),
        HARMLESS,
    ),
    row(
        "Location with more in its query",
        &[PostUpload],
        |rule| rule.apply().rewrite("location", |url| format!("{url}&part=a%2Fb%2B")),
        HARMLESS,
    ),
    row("no Location", &[PostUpload], |rule| rule.apply().without_header("location"), ends("registry")),
    row(
        "no Docker-Content-Digest",
        ALL,
        |rule| rule.apply().without_header("docker-content-digest"),
        HARMLESS,
    ),
    row(
        "wrong Docker-Content-Digest",
        &[HeadManifest, HeadBlob, PostUpload, PutBlob],
        |rule| rule.apply().header("docker-content-digest", OTHER),
        HARMLESS,
    ),
    row(
        "wrong Docker-Content-Digest",
        &[GetTag, PutManifest],
        |rule| rule.apply().header("docker-content-digest", OTHER),
        ends("bad_content"),
    ),
    row(
        "wrong Docker-Content-Digest",
        &[PutTag],
        |rule| rule.apply().header("docker-content-digest", OTHER),
        [Late("bad_content"); 3],
    ),
    row("Content-Encoding: gzip", ALL, |rule| rule.apply().header("content-encoding", "gzip"), HARMLESS),
    row("a web page (200)", &[GetTag, HeadManifest, HeadBlob], page, HARMLESS),
    row("a web page (200)", &[PostUpload, PutBlob, PutManifest, PutTag], page, ends("registry")),
    row(
        "201, but nothing done",
        &[PutBlob, PutManifest],
        |rule| rule.reply(201),
        [Well, Well, Fails("refused")],
    ),
    // NET-40.
    row("201, but nothing done", &[PutTag], |rule| rule.reply(201), PASSES),
    row("HEAD says 200 of what is not there", HEADS, |rule| rule.reply(200), [Well, Well, Fails("refused")]),
    row("MANIFEST_BLOB_UNKNOWN", PUTS, |rule| rule.reply(400).body(UNKNOWN), [Well, Well, Fails("refused")]),
    row("MANIFEST_INVALID", PUTS, |rule| rule.reply(400).body(INVALID), ends("refused")),
    row("401 without a challenge", ALL, |rule| rule.reply(401), ends("not_authorised")),
    row("403", &[HeadManifest, HeadBlob], |rule| rule.reply(403), HARMLESS),
    row("403", &[GetTag, PostUpload, PutBlob, PutManifest, PutTag], |rule| rule.reply(403), ends("denied")),
    row("404", &[GetTag, HeadManifest, HeadBlob], |rule| rule.reply(404), HARMLESS),
    row("404", &[PostUpload, PutManifest, PutTag], |rule| rule.reply(404), ends("image_not_found")),
    row("405", HEADS, |rule| rule.reply(405), HARMLESS),
    row("407", ALL, |rule| rule.reply(407), ends("unreachable")),
    row("412", &[PutTag], |rule| rule.reply(412), ends("moved")),
    row("Warning", ALL, |rule| rule.apply().header("warning", "299 - \"be warned\""), HARMLESS),
];
