//! Where a login is looked for, and in which order.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::CredentialError;
use super::file::{CredentialFile, Step, Wanted, canonical_host};
use super::helper::Helpers;
use super::login::{Found, Login};
use super::place::{Environment, Place};

/// Where logins are looked for. All paths and variables are handed in.
///
/// The order: logins given for a host; the place given for a host, alone; then the one file that the user named,
/// alone; or else auth.json in
/// the runtime directory, auth.json in the configuration directory, docker's config.json, `~/.dockercfg`, and
/// the text in `DOCKER_AUTH_CONFIG`. The first of them that has a login for the repository decides, not the
/// first that exists. Inside a file: the helper for the host, the entry with the longest path, the helper for
/// all hosts. A file that cannot be understood and a helper that fails end the search with an error; no other
/// login is taken in their place.
///
/// Spec: containers-auth.json(5), with `credsStore` read as docker does.
#[derive(Clone, Debug)]
pub struct CredentialSearch {
    logins: BTreeMap<String, (Login, String)>,
    own: BTreeMap<String, Own>,
    places: Vec<Place>,
    helpers: Helpers,
}

/// The one place where the login of a host lies.
#[derive(Clone, Debug)]
enum Own {
    File(Place),
    Helper(String),
}

impl CredentialSearch {
    /// The search as the environment sets it up.
    pub fn new(environment: &Environment) -> Self {
        Self {
            logins: BTreeMap::new(),
            own: BTreeMap::new(),
            places: environment.places(),
            helpers: Helpers::new(environment.path.as_ref()),
        }
    }

    /// Looks for the logins of this host (`host[:port]`) in this file alone.
    #[must_use]
    pub fn with_file_of(mut self, host: &str, path: impl Into<PathBuf>) -> Self {
        self.own.insert(canonical_host(host), Own::File(Place::named(path.into())));
        self
    }

    /// Asks the helper `docker-credential-NAME` alone for the login of this host (`host[:port]`).
    #[must_use]
    pub fn with_helper_of(mut self, host: &str, name: &str) -> Self {
        self.own.insert(canonical_host(host), Own::Helper(name.to_owned()));
        self
    }

    /// Looks in this file alone; it must exist when a login is looked up.
    #[must_use]
    pub fn with_auth_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.own.clear();
        self.places = vec![Place::named(path.into())];
        self
    }

    /// Uses this login for this host (`host[:port]`) and nothing else; `origin` is named as its source, such as
    /// `--creds`.
    #[must_use]
    pub fn with_login(mut self, host: &str, login: Login, origin: &str) -> Self {
        self.logins.insert(canonical_host(host), (login, origin.to_owned()));
        self
    }

    /// Looks for the login of a repository: `host` is `host[:port]` as in the reference's domain,
    /// `repository_path` the path below it, without tag and digest.
    ///
    /// # Errors
    /// [`CredentialError`] when a file or helper that comes before a match is unusable. No login at all is
    /// `None`, not an error.
    pub async fn lookup(&self, host: &str, repository_path: &str) -> Result<Option<Found>, CredentialError> {
        let wanted = Wanted::new(host, repository_path);
        if let Some((login, origin)) = self.logins.get(wanted.host()) {
            return Ok(Some(Found { login: login.clone(), origin: origin.clone() }));
        }
        let places = match self.own.get(wanted.host()) {
            Some(Own::File(place)) => std::slice::from_ref(place),
            Some(Own::Helper(name)) => return self.ask(name, &wanted).await,
            None => &self.places,
        };
        for place in places {
            let Some((file, origin)) = place.open().await? else { continue };
            if let Some(found) = self.find(&file, &origin, &wanted).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Asks the helper that the configuration names for a host.
    async fn ask(&self, name: &str, wanted: &Wanted) -> Result<Option<Found>, CredentialError> {
        let origin = "the configuration of the registry";
        for server in wanted.servers() {
            let answer = self.helpers.get(name, server).await;
            if let Some(login) = answer.map_err(|error| CredentialError::Helper(origin.to_owned(), error))? {
                let origin = format!("docker-credential-{name}, named in {origin}");
                return Ok(Some(Found { login, origin }));
            }
        }
        Ok(None)
    }

    async fn find(
        &self,
        file: &CredentialFile,
        origin: &str,
        wanted: &Wanted,
    ) -> Result<Option<Found>, CredentialError> {
        for step in file.steps(wanted) {
            match step {
                Step::Entry(key, entry) => {
                    let login = entry.login().map_err(|why| {
                        CredentialError::Entry(origin.to_owned(), wanted.host().to_owned(), why)
                    })?;
                    return Ok(Some(Found { login, origin: format!("{origin} ({key})") }));
                }
                Step::Helper { name, server } => {
                    let answer = self.helpers.get(name, server).await;
                    let login = answer.map_err(|error| CredentialError::Helper(origin.to_owned(), error))?;
                    if let Some(login) = login {
                        let origin = format!("docker-credential-{name}, named in {origin}");
                        return Ok(Some(Found { login, origin }));
                    }
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use crate::auth::HelperError;
    use std::error::Error as _;

    use base64::Engine as _;

    use super::*;

    /// A home with whatever credential files a test puts into it.
    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        #[expect(clippy::disallowed_methods, reason = "a fixture need not be durable")]
        fn put(&self, name: &str, text: &str) {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn environment(&self) -> Environment {
            Environment {
                xdg_runtime_dir: Some(self.path("run")),
                home: Some(self.path("")),
                path: Some(self.path("bin").into()),
                ..Environment::default()
            }
        }

        fn search(&self) -> CredentialSearch {
            CredentialSearch::new(&self.environment())
        }
    }

    /// The text of a file that gives `user` the login for `key`.
    fn auths(key: &str, user: &str) -> String {
        format!(r#"{{"auths":{}}}"#, flat(key, user))
    }

    fn flat(key: &str, user: &str) -> String {
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:pw"));
        format!(r#"{{"{key}":{{"auth":"{auth}"}}}}"#)
    }

    async fn user(search: &CredentialSearch, host: &str, path: &str) -> Option<String> {
        match search.lookup(host, path).await.unwrap()?.login {
            Login::Basic { username, .. } => Some(username),
            login => panic!("{login:?}"),
        }
    }

    async fn failure(search: &CredentialSearch) -> CredentialError {
        search.lookup("reg.io", "app").await.unwrap_err()
    }

    #[tokio::test]
    async fn the_first_file_with_a_match_decides() {
        let home = Home::new();
        home.put("run/containers/auth.json", &auths("one.io", "run"));
        home.put(".config/containers/auth.json", &auths("two.io", "config"));
        home.put(".docker/config.json", &auths("three.io", "docker"));
        home.put(".dockercfg", &flat("https://four.io/v1/", "cfg"));
        let environment =
            Environment { docker_auth_config: Some(auths("five.io", "text").into()), ..home.environment() };
        let search = CredentialSearch::new(&environment);
        for (host, expected) in [
            ("one.io", Some("run")),
            ("two.io", Some("config")),
            ("three.io", Some("docker")),
            ("four.io", Some("cfg")),
            ("five.io", Some("text")),
            ("six.io", None),
        ] {
            assert_eq!(user(&search, host, "a/b").await.as_deref(), expected, "{host}");
        }
        // Each place in turn takes the host over from the ones below.
        let places = [
            (".dockercfg", flat("five.io", "cfg")),
            (".docker/config.json", auths("five.io", "docker")),
            (".config/containers/auth.json", auths("five.io", "config")),
            ("run/containers/auth.json", auths("five.io", "run")),
        ];
        for (place, text) in places {
            home.put(place, &text);
            let found = search.lookup("five.io", "a").await.unwrap().unwrap();
            assert_eq!(found.origin, format!("{} (five.io)", home.path(place).display()));
        }
    }

    #[tokio::test]
    async fn directories_come_from_the_environment() {
        let home = Home::new();
        home.put("xdg/containers/auth.json", &auths("one.io", "xdg"));
        home.put("docker/config.json", &auths("two.io", "docker"));
        home.put(".config/containers/auth.json", &auths("one.io", "home"));
        home.put(".docker/config.json", &auths("two.io", "home"));
        let moved = Environment {
            xdg_config_home: Some(home.path("xdg")),
            docker_config: Some(home.path("docker")),
            ..home.environment()
        };
        let empty = Environment {
            xdg_runtime_dir: Some(PathBuf::new()),
            xdg_config_home: Some(PathBuf::new()),
            docker_config: Some(PathBuf::new()),
            registry_auth_file: Some(PathBuf::new()),
            docker_auth_config: Some("".into()),
            ..home.environment()
        };
        for (environment, one, two) in [(moved, "xdg", "docker"), (empty, "home", "home")] {
            let search = CredentialSearch::new(&environment);
            assert_eq!(user(&search, "one.io", "a").await.as_deref(), Some(one));
            assert_eq!(user(&search, "two.io", "a").await.as_deref(), Some(two));
        }
        let nowhere = CredentialSearch::new(&Environment::default());
        assert_eq!(nowhere.lookup("one.io", "a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_named_file_stands_alone() {
        let home = Home::new();
        home.put("run/containers/auth.json", &auths("reg.io", "run"));
        home.put("named.json", &auths("other.io", "named"));
        home.put("flag.json", &auths("other.io", "flag"));
        let environment =
            Environment { registry_auth_file: Some(home.path("named.json")), ..home.environment() };
        let search = CredentialSearch::new(&environment);
        assert_eq!(user(&search, "reg.io", "app").await, None);
        assert_eq!(user(&search, "other.io", "app").await.as_deref(), Some("named"));
        let search = search.with_auth_file(home.path("flag.json"));
        assert_eq!(user(&search, "other.io", "app").await.as_deref(), Some("flag"));
    }

    #[tokio::test]
    async fn a_named_file_must_exist() {
        let home = Home::new();
        let path = home.path("gone.json");
        let failed = failure(&home.search().with_auth_file(&path)).await;
        assert!(matches!(failed, CredentialError::Missing(_)));
        assert_eq!(failed.to_string(), format!("credential file {} does not exist", path.display()));
    }

    #[tokio::test]
    async fn a_given_login_is_for_its_host_only() {
        let home = Home::new();
        home.put("run/containers/auth.json", &auths("other.io", "run"));
        let search = home
            .search()
            .with_login("reg.io:5000", Login::new("given", "pw"), "--creds")
            .with_login("registry-1.docker.io", Login::new("hub", "pw"), "--creds");
        for (host, expected) in [
            ("reg.io:5000", Some("given")),
            ("REG.io:5000", Some("given")),
            ("docker.io", Some("hub")),
            ("reg.io", None),
            ("reg.io:5001", None),
            ("other.io", Some("run")),
        ] {
            assert_eq!(user(&search, host, "app").await.as_deref(), expected, "{host}");
        }
        assert_eq!(search.lookup("reg.io:5000", "app").await.unwrap().unwrap().origin, "--creds");
    }

    /// SEC-12.
    #[tokio::test]
    async fn a_broken_file_is_named_and_never_quoted() {
        let home = Home::new();
        home.put("run/containers/auth.json", "{\"auths\": {\"reg.io\":\n \"hunter2\"}}");
        home.put(".docker/config.json", &auths("reg.io", "ann"));
        let failed = failure(&home.search()).await;
        let file = home.path("run/containers/auth.json");
        let expected = format!(
            "{} is no credential file: a JSON value of the wrong type at line 2 column 10",
            file.display()
        );
        assert_eq!(failed.to_string(), expected);
        assert!(!format!("{failed:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_broken_entry_is_an_error_for_its_own_host_only() {
        let home = Home::new();
        home.put("run/containers/auth.json", r#"{"auths":{"reg.io":{"auth":"hunter2"},"two.io":{}}}"#);
        assert_eq!(user(&home.search(), "two.io", "app").await, None);
        let failed = failure(&home.search()).await;
        let file = home.path("run/containers/auth.json");
        let expected =
            format!("the login for reg.io in {} cannot be used: its auth is not base64", file.display());
        assert_eq!(failed.to_string(), expected);
    }

    #[tokio::test]
    async fn a_file_has_a_limit() {
        let home = Home::new();
        home.put("big.json", &format!("{{{}}}", " ".repeat(1024 * 1024)));
        let failed = failure(&home.search().with_auth_file(home.path("big.json"))).await;
        assert!(matches!(failed, CredentialError::TooLarge(_, 1_048_576)), "{failed}");
        home.put("full.json", &format!("{{{}}}", " ".repeat(1024 * 1024 - 2)));
        let search = home.search().with_auth_file(home.path("full.json"));
        assert_eq!(search.lookup("reg.io", "app").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_an_error() {
        let home = Home::new();
        home.put(".docker/config.json/is-a-directory", "");
        let failed = failure(&home.search()).await;
        assert!(matches!(failed, CredentialError::Io(..)), "{failed}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_helper_answers_for_its_host() {
        let home = Home::new();
        std::fs::create_dir(home.path("bin")).unwrap();
        let answer = r#"case $(cat) in
            reg.io) echo '{"Username":"helped","Secret":"pw"}';;
            https://index.docker.io/v1/) echo '{"Username":"<token>","Secret":"refresh"}';;
            *) echo credentials not found in native keychain; exit 1;;
        esac"#;
        crate::auth::helper::tests::install(&home.path("bin"), "test", answer);
        home.put(
            "run/containers/auth.json",
            r#"{"credsStore":"test","auths":{"plain.io":{"auth":"YW5uOnB3"}}}"#,
        );
        home.put(".docker/config.json", &auths("later.io", "docker"));
        let search = home.search();
        assert_eq!(user(&search, "reg.io", "app").await.as_deref(), Some("helped"));
        assert_eq!(user(&search, "plain.io", "app").await.as_deref(), Some("ann"));
        assert_eq!(user(&search, "later.io", "app").await.as_deref(), Some("docker"));
        assert_eq!(user(&search, "nobody.io", "app").await, None);
        let hub = search.lookup("docker.io", "library/app").await.unwrap().unwrap();
        assert_eq!(hub.login, Login::Identity { token: "refresh".into() });
        let file = home.path("run/containers/auth.json");
        assert_eq!(hub.origin, format!("docker-credential-test, named in {}", file.display()));
    }

    /// SEC-2.
    #[tokio::test]
    async fn a_missing_helper_ends_the_search() {
        let home = Home::new();
        home.put("run/containers/auth.json", r#"{"credHelpers":{"reg.io":"gone"}}"#);
        home.put(".docker/config.json", &auths("reg.io", "ann"));
        let failed = failure(&home.search()).await;
        let file = home.path("run/containers/auth.json");
        assert_eq!(failed.to_string(), format!("no login from the helper named in {}", file.display()));
        assert_eq!(
            failed.source().unwrap().to_string(),
            "credential helper docker-credential-gone is not in the search path"
        );
        home.put("run/containers/auth.json", r#"{"credHelpers":{"reg.io":"../evil"}}"#);
        let failed = failure(&home.search()).await;
        assert!(matches!(failed, CredentialError::Helper(_, HelperError::BadName(_))), "{failed}");
    }
}
