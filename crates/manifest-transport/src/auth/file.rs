//! One credential file: auth.json, docker's config.json or the older .dockercfg.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::login::Login;
use crate::secret::Secret;

/// The key under which docker saves the login of the Hub, in files and in helpers.
pub(super) const HUB_ADDRESS: &str = "https://index.docker.io/v1/";
/// The Hub's host in references.
pub(super) const HUB: &str = "docker.io";

/// Padding is optional: people write these entries by hand.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The two layouts of a credential file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"auths": {…}, "credHelpers": {…}, "credsStore": "…"}`.
    Sections,
    /// `.dockercfg`: the content of `auths` alone, every key an address of a registry.
    Flat,
}

/// Where and how a document stops being what it should be; without a word of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonFault {
    /// The line, from 1.
    pub line: usize,
    /// The column, in bytes from 1; 0 at the start of a line.
    pub column: usize,
    kind: &'static str,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.kind, self.line, self.column)
    }
}

impl From<serde_json::Error> for JsonFault {
    /// Leaves the text of the error behind: it quotes the value that was not expected.
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        let kind = match error.classify() {
            Category::Io => "unreadable text",
            Category::Syntax => "a JSON syntax error",
            Category::Data => "a JSON value of the wrong type",
            Category::Eof => "an early end of the JSON text",
        };
        Self { line: error.line(), column: error.column(), kind }
    }
}

/// What is looked for: one repository of one registry.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    host: String,
    path: String,
}

impl Wanted {
    pub(super) fn new(host: &str, repository_path: &str) -> Self {
        Self { host: canonical_host(host), path: repository_path.trim_matches('/').to_owned() }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The names under which helpers may hold the login of the host, likeliest first.
    pub(super) fn servers(&self) -> Vec<&str> {
        if self.host == HUB { vec![HUB_ADDRESS, HUB] } else { vec![&self.host] }
    }

    /// Whether a login for `path` of the host serves the repository: equal, or a parent namespace.
    fn lies_below(&self, path: &str) -> bool {
        path.is_empty()
            || self.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// The host as keys are compared: lower case, and one name for the Hub.
pub(super) fn canonical_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    if matches!(host.as_str(), HUB | "index.docker.io" | "registry-1.docker.io") {
        return HUB.to_owned();
    }
    host
}

/// One thing to try; the first that gives a login ends the search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// The entry under this key.
    Entry(&'a str, &'a Entry),
    /// Ask this helper for this server.
    Helper { name: &'a str, server: &'a str },
}

/// A login as it is written under `auths`.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

impl Entry {
    /// The entry without its members that are there but empty.
    fn tidy(self) -> Self {
        let full = |secret: &Secret| !secret.is_empty();
        Self {
            auth: self.auth.filter(full),
            username: self.username.filter(|name| !name.is_empty()),
            password: self.password.filter(full),
            identitytoken: self.identitytoken.filter(full),
            registrytoken: self.registrytoken.filter(full),
        }
    }

    /// Whether the entry only says that a helper holds the login.
    fn is_empty(&self) -> bool {
        self.auth.is_none()
            && self.username.is_none()
            && self.identitytoken.is_none()
            && self.registrytoken.is_none()
    }

    /// The login of an entry that is not empty, or what is wrong with it.
    pub(super) fn login(&self) -> Result<Login, &'static str> {
        if let Some(token) = &self.registrytoken {
            return Ok(Login::Registry { token: token.clone() });
        }
        if let Some(token) = &self.identitytoken {
            return Ok(Login::Identity { token: token.clone() });
        }
        if let Some(auth) = &self.auth {
            return decode_auth(auth);
        }
        match (&self.username, &self.password) {
            (Some(username), Some(password)) => {
                Ok(Login::Basic { username: username.clone(), password: password.clone() })
            }
            _ => Err("it has a user name and no password"),
        }
    }
}

fn decode_auth(auth: &Secret) -> Result<Login, &'static str> {
    let Ok(bytes) = BASE64.decode(auth.expose().trim()).map(Zeroizing::new) else {
        return Err("its auth is not base64");
    };
    let Ok(pair) = std::str::from_utf8(&bytes) else {
        return Err("its auth does not hold UTF-8");
    };
    // Old versions of docker padded the password with NULs.
    Login::from_pair(pair.trim_end_matches('\0')).ok_or("its auth holds no colon")
}

/// A file that has been read.
#[derive(Debug)]
pub(super) struct CredentialFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
    shape: Shape,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Sections {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    cred_helpers: Option<BTreeMap<String, Option<String>>>,
    creds_store: Option<String>,
}

impl CredentialFile {
    /// Reads the text of a file; unknown members are ignored and an empty file has no logins.
    pub(super) fn parse(text: &[u8], shape: Shape) -> Result<Self, JsonFault> {
        let sections = if text.trim_ascii().is_empty() {
            Sections::default()
        } else if shape == Shape::Flat {
            Sections { auths: Some(serde_json::from_slice(text)?), ..Sections::default() }
        } else {
            serde_json::from_slice(text)?
        };
        let auths = sections.auths.unwrap_or_default().into_iter();
        let helpers = sections.cred_helpers.unwrap_or_default().into_iter();
        Ok(Self {
            auths: auths.map(|(key, entry)| (key, entry.unwrap_or_default().tidy())).collect(),
            cred_helpers: helpers
                .filter_map(|(key, name)| Some((key, name.filter(|name| !name.is_empty())?)))
                .collect(),
            creds_store: sections.creds_store.filter(|name| !name.is_empty()),
            shape,
        })
    }

    /// What to try for a repository, in order: the host's own helper, the entries from the longest path to the
    /// host alone, the helper for all hosts. An empty entry stands for a question to the helper.
    pub(super) fn steps<'a>(&'a self, wanted: &'a Wanted) -> Vec<Step<'a>> {
        let mut steps = Vec::new();
        let mut add = |step| {
            if !steps.contains(&step) {
                steps.push(step);
            }
        };
        let own = self.own_helper(wanted);
        if let Some(name) = own {
            wanted.servers().into_iter().for_each(|server| add(Step::Helper { name, server }));
        }
        let store = self.creds_store.as_deref();
        for (key, entry) in self.matches(wanted) {
            if !entry.is_empty() {
                add(Step::Entry(key, entry));
            } else if let Some(name) = own.or(store) {
                add(Step::Helper { name, server: key });
            }
        }
        // A helper of its own stands in the place of the general one.
        if let Some(name) = store.filter(|_| own.is_none()) {
            wanted.servers().into_iter().for_each(|server| add(Step::Helper { name, server }));
        }
        steps
    }

    /// The helper named for the host; the host as it stands in the reference goes before its other names.
    pub(super) fn own_helper(&self, wanted: &Wanted) -> Option<&str> {
        let serving = |key: &String| split_key(key, Shape::Sections).0 == wanted.host;
        let named = self.cred_helpers.get(&wanted.host);
        let other = || self.cred_helpers.iter().find(|(key, _)| serving(key)).map(|(_, name)| name);
        named.or_else(other).map(String::as_str)
    }

    /// The helper for all hosts.
    pub(super) fn creds_store(&self) -> Option<&str> {
        self.creds_store.as_deref()
    }

    /// The helpers that keep logins, as far as the file tells, each with the server that it is asked for.
    pub(super) fn kept_by_helpers(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.cred_helpers.iter().map(|(server, name)| (name.as_str(), server.as_str()));
        let empty = self.auths.iter().filter(|(_, entry)| entry.is_empty());
        let general = self.creds_store().into_iter();
        let others = general.flat_map(move |name| empty.clone().map(move |(key, _)| (name, key.as_str())));
        own.chain(others)
    }

    fn matches(&self, wanted: &Wanted) -> Vec<(&str, &Entry)> {
        let mut found: Vec<_> = self
            .auths
            .iter()
            .filter_map(|(key, entry)| {
                let (host, path) = split_key(key, self.shape);
                // Among keys for the same path the plain one goes before an address or another name.
                let indirect = !key.starts_with(&wanted.host);
                (host == wanted.host && wanted.lies_below(path))
                    .then_some(((Reverse(path.len()), indirect), (key.as_str(), entry)))
            })
            .collect();
        // The sort is stable: equals stay in the order of their keys, `…/v1/` before `…/v1/access-token`.
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, found)| found).collect()
    }
}

/// Divides a key into the host, canonical, and the path that a repository must lie below.
///
/// A key with a scheme is the address of a registry, whose path is that of an API and not a namespace.
pub(super) fn split_key(key: &str, shape: Shape) -> (String, &str) {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let is_address = bare.is_some() || shape == Shape::Flat;
    let bare = bare.unwrap_or(key);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let path = match path {
        "v1/" | "v2/" => "",
        _ if is_address => "",
        path => path.trim_end_matches('/'),
    };
    (canonical_host(host), path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(username: &str, password: &str) -> Login {
        Login::Basic { username: username.to_owned(), password: password.into() }
    }

    /// The steps in words: `entry KEY` or `NAME? SERVER`.
    fn steps(file: &str, host: &str, path: &str) -> Vec<String> {
        let file = CredentialFile::parse(file.as_bytes(), Shape::Sections).unwrap();
        let wanted = Wanted::new(host, path);
        let say = |step: Step<'_>| match step {
            Step::Entry(key, _) => format!("entry {key}"),
            Step::Helper { name, server } => format!("{name}? {server}"),
        };
        file.steps(&wanted).into_iter().map(say).collect()
    }

    #[test]
    fn the_longest_path_is_tried_first() {
        let file = r#"{"auths":{
            "https://reg.io/v2/":{"auth":"x"}, "reg.io":{"auth":"x"}, "reg.io/team":{"auth":"x"},
            "reg.io/team/app":{"auth":"x"}, "reg.io/team/ap":{"auth":"x"}, "reg.io/other":{"auth":"x"},
            "reg.io:5000":{"auth":"x"}, "REG.example":{"auth":"x"}, "reg.io/slash/":{"auth":"x"}}}"#;
        let table: &[(&str, &str, &[&str])] = &[
            (
                "reg.io",
                "team/app",
                &["entry reg.io/team/app", "entry reg.io/team", "entry reg.io", "entry https://reg.io/v2/"],
            ),
            (
                "reg.io",
                "team/app/deep",
                &["entry reg.io/team/app", "entry reg.io/team", "entry reg.io", "entry https://reg.io/v2/"],
            ),
            ("reg.io", "teams/app", &["entry reg.io", "entry https://reg.io/v2/"]),
            ("reg.io", "slash/app", &["entry reg.io/slash/", "entry reg.io", "entry https://reg.io/v2/"]),
            ("reg.io", "", &["entry reg.io", "entry https://reg.io/v2/"]),
            ("reg.io:5000", "team/app", &["entry reg.io:5000"]),
            ("reg.io:5001", "team/app", &[]),
            ("Reg.Example", "app", &["entry REG.example"]),
        ];
        for (host, path, expected) in table {
            assert_eq!(&steps(file, host, path), expected, "{host}/{path}");
        }
    }

    #[test]
    fn the_hub_is_one_under_all_its_names() {
        for key in [
            "docker.io",
            "index.docker.io",
            "registry-1.docker.io",
            "https://index.docker.io/v1/",
            "https://index.docker.io",
            "index.docker.io/v1/",
            "https://registry-1.docker.io/v2/",
            "http://docker.io",
        ] {
            let file = format!(r#"{{"auths":{{"{key}":{{"auth":"x"}}}}}}"#);
            for host in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
                assert_eq!(steps(&file, host, "library/app"), [format!("entry {key}")]);
            }
            assert_eq!(steps(&file, "auth.docker.io", "library/app"), [""; 0]);
        }
        let file = r#"{"auths":{"https://index.docker.io/v1/access-token":{"auth":"x"},
            "https://index.docker.io/v1/":{"auth":"x"},"docker.io":{"auth":"x"},"docker.io/acme":{"auth":"x"}}}"#;
        let expected = [
            "entry docker.io/acme",
            "entry docker.io",
            "entry https://index.docker.io/v1/",
            "entry https://index.docker.io/v1/access-token",
        ];
        assert_eq!(steps(file, "docker.io", "acme/app"), expected);
    }

    #[test]
    fn helpers_stand_where_the_file_puts_them() {
        let table: &[(&str, &str, &[&str])] = &[
            (r#"{"credHelpers":{"reg.io":"own"},"credsStore":"all"}"#, "reg.io", &["own? reg.io"]),
            (r#"{"credHelpers":{"https://reg.io":"own"}}"#, "reg.io", &["own? reg.io"]),
            (r#"{"credHelpers":{"reg.io":"own"},"credsStore":"all"}"#, "two.io", &["all? two.io"]),
            (
                r#"{"credHelpers":{"reg.io":"own"},"auths":{"reg.io":{"auth":"x"}}}"#,
                "reg.io",
                &["own? reg.io", "entry reg.io"],
            ),
            (
                r#"{"credsStore":"all","auths":{"reg.io":{"auth":"x"}}}"#,
                "reg.io",
                &["entry reg.io", "all? reg.io"],
            ),
            (r#"{"credsStore":"all","auths":{"reg.io":{}}}"#, "reg.io", &["all? reg.io"]),
            (
                r#"{"credsStore":"all","auths":{"https://reg.io":{}}}"#,
                "reg.io",
                &["all? https://reg.io", "all? reg.io"],
            ),
            (
                r#"{"credsStore":"all","auths":{"https://index.docker.io/v1/":{}}}"#,
                "docker.io",
                &["all? https://index.docker.io/v1/", "all? docker.io"],
            ),
            (
                r#"{"credHelpers":{"index.docker.io":"hub"}}"#,
                "docker.io",
                &["hub? https://index.docker.io/v1/", "hub? docker.io"],
            ),
            (r#"{"auths":{"reg.io":{}}}"#, "reg.io", &[]),
            (r#"{"auths":{"reg.io":null,"reg.io/a":{"auth":""}}}"#, "reg.io", &[]),
            (r#"{"auths":{"reg.io/a":{},"reg.io":{"auth":"x"}}}"#, "reg.io", &["entry reg.io"]),
            (r#"{"auths":null,"credHelpers":null,"credsStore":""}"#, "reg.io", &[]),
            (r#"{"credHelpers":{"reg.io":""},"credsStore":"all"}"#, "reg.io", &["all? reg.io"]),
            (r#"{"HttpHeaders":{"a":"b"},"psFormat":1}"#, "reg.io", &[]),
            ("{}", "reg.io", &[]),
            (" \n", "reg.io", &[]),
        ];
        for (file, host, expected) in table {
            assert_eq!(&steps(file, host, "a/b"), expected, "{file}");
        }
    }

    #[test]
    fn an_entry_is_read_in_all_its_forms() {
        let table = [
            (r#"{"auth":"YW5uOnB3"}"#, Ok(basic("ann", "pw"))),
            (r#"{"auth":"YW5uOnA6dzo="}"#, Ok(basic("ann", "p:w:"))),
            (r#"{"auth":"YW5uOnA6dzo"}"#, Ok(basic("ann", "p:w:"))),
            (r#"{"auth":"YW5uOnB3AAAA"}"#, Ok(basic("ann", "pw"))),
            (r#"{"auth":"YW5uOg=="}"#, Ok(basic("ann", ""))),
            (r#"{"username":"ann","password":"pw"}"#, Ok(basic("ann", "pw"))),
            (r#"{"auth":"YW5uOnB3","email":null,"more":[1]}"#, Ok(basic("ann", "pw"))),
            (r#"{"auth":"YW5uOnB3","identitytoken":"t"}"#, Ok(Login::Identity { token: "t".into() })),
            (r#"{"auth":"YW5uOnB3","identitytoken":""}"#, Ok(basic("ann", "pw"))),
            (r#"{"identitytoken":"t","registrytoken":"r"}"#, Ok(Login::Registry { token: "r".into() })),
            (r#"{"auth":"YW5u"}"#, Err("its auth holds no colon")),
            (r#"{"auth":"%%%"}"#, Err("its auth is not base64")),
            (r#"{"auth":"/zr/"}"#, Err("its auth does not hold UTF-8")),
            (r#"{"username":"ann"}"#, Err("it has a user name and no password")),
        ];
        for (entry, expected) in table {
            let read: Entry = serde_json::from_str(entry).unwrap();
            assert_eq!(read.tidy().login(), expected, "{entry}");
        }
    }

    #[test]
    fn the_old_flat_file_holds_addresses() {
        let text = br#"{"https://reg.io/v1/":{"auth":"YW5uOnB3"},"two.io/team":{"auth":"YW5uOnB3"}}"#;
        let file = CredentialFile::parse(text, Shape::Flat).unwrap();
        assert_eq!(file.steps(&Wanted::new("reg.io", "a")).len(), 1);
        assert_eq!(file.steps(&Wanted::new("two.io", "a")).len(), 1);
    }

    #[test]
    fn a_fault_tells_its_place_and_not_the_content() {
        let table = [
            (
                "{\"auths\":\n {\"reg.io\": \"hunter2\"}}",
                "a JSON value of the wrong type at line 2 column 21",
            ),
            ("{\"auths\": hunter2}", "a JSON syntax error at line 1 column 11"),
            ("{\"auths\": {\"hunter2\"", "an early end of the JSON text at line 1 column 20"),
            ("[\"hunter2\"]", "a JSON value of the wrong type at line 1 column 10"),
        ];
        for (text, expected) in table {
            let fault = CredentialFile::parse(text.as_bytes(), Shape::Sections).unwrap_err();
            assert_eq!(fault.to_string(), expected, "{text}");
            assert!(!format!("{fault:?}").contains("hunter2"));
        }
    }
}
