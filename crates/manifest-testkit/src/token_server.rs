//! The token endpoint beside a registry.

mod issued;
mod signer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;
use serde_json::{Map, json};

pub(crate) use self::issued::{Issued, Verdict};
use self::issued::{Scope, Uses};
pub(crate) use self::signer::ISSUER;
use self::signer::Signer;
use crate::http_server::{Handler, Server};
use crate::request::{Method, Request, all_parameters};
use crate::script::Rule;

/// The service name that challenges and tokens carry.
pub(crate) const SERVICE: &str = "testkit-registry";

/// A token endpoint inside the test's process, with the log and the faults of
/// [`FakeRegistry`](crate::FakeRegistry).
///
/// Its only path is `/token`: `GET` with or without a Basic login, and `POST` with a form whose
/// `grant_type` is `refresh_token` or `password`. At first there are no accounts, and everybody gets
/// all the scopes they ask for.
///
/// Tokens are opaque for the fake registry. Once a [`DockerRegistry`](crate::DockerRegistry) uses the
/// server they are JSON web tokens, RS256 with the certificate in `x5c`, which both registries accept.
///
/// Spec: Docker "Token Authentication Specification" and its OAuth2 variant.
#[derive(Debug)]
pub struct TokenServer {
    server: Server,
    tokens: Arc<Tokens>,
}

#[derive(Debug, Default)]
struct Tokens {
    issued: Arc<Issued>,
    settings: Mutex<Settings>,
    signer: OnceLock<Signer>,
}

#[derive(Debug)]
struct Settings {
    accounts: BTreeMap<String, String>,
    refresh_tokens: BTreeSet<String>,
    anonymous: Anonymous,
    /// Actions that are granted at most; none means all.
    actions: Option<BTreeSet<String>>,
    expires_in: Option<u64>,
    uses: Uses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anonymous {
    Everything,
    Pull,
    Refused,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            accounts: BTreeMap::new(),
            refresh_tokens: BTreeSet::new(),
            anonymous: Anonymous::Everything,
            actions: None,
            expires_in: Some(300),
            uses: Uses::Any,
        }
    }
}

impl TokenServer {
    /// Starts a token server without accounts.
    pub fn start() -> Self {
        let tokens = Arc::new(Tokens::default());
        let handler: Arc<dyn Handler> = Arc::<Tokens>::clone(&tokens);
        Self { server: Server::start("token-server", handler), tokens }
    }

    /// Host and port, `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// The URL that challenges name.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.address())
    }

    /// Adds an account. From now on who does not log in gets tokens to pull only.
    pub fn account(&self, user: &str, password: &str) {
        let mut settings = self.tokens.settings();
        settings.accounts.insert(user.to_owned(), password.to_owned());
        if settings.anonymous == Anonymous::Everything {
            settings.anonymous = Anonymous::Pull;
        }
    }

    /// Accepts this refresh token (an *identity token*) for everything; as with an account, who does
    /// not log in gets tokens to pull only.
    pub fn refresh_token(&self, token: &str) {
        let mut settings = self.tokens.settings();
        settings.refresh_tokens.insert(token.to_owned());
        if settings.anonymous == Anonymous::Everything {
            settings.anonymous = Anonymous::Pull;
        }
    }

    /// Answers 401 from now on to who does not log in.
    pub fn refuse_anonymous(&self) {
        self.tokens.settings().anonymous = Anonymous::Refused;
    }

    /// Grants at most these actions from now on, such as `pull`, whatever is asked for.
    pub fn grant_only(&self, actions: &[&str]) {
        self.tokens.settings().actions = Some(actions.iter().map(|action| (*action).to_owned()).collect());
    }

    /// What `expires_in` says from now on, in seconds; with `None` it is left out. At first it is 300.
    ///
    /// The fake registry has no clock and goes on to accept the token; [`uses`](Self::uses) and
    /// [`revoke`](Self::revoke) end tokens there. The real one obeys the time.
    pub fn expires_in(&self, seconds: Option<u64>) {
        self.tokens.settings().expires_in = seconds;
    }

    /// Makes tokens issued from now on good for `n` requests to the fake registry, then expired.
    pub fn uses(&self, n: u64) {
        self.tokens.settings().uses = Uses::Left(n);
    }

    /// Makes the fake registry refuse all tokens issued so far.
    pub fn revoke(&self) {
        self.tokens.issued.revoke();
    }

    /// All tokens issued so far, revoked ones too, oldest first.
    pub fn tokens(&self) -> Vec<String> {
        self.tokens.issued.all()
    }

    /// Begins a rule for requests with this method and path; see
    /// [`FakeRegistry::on`](crate::FakeRegistry::on).
    pub fn on(&self, method: Method, pattern: &str) -> Rule {
        self.server.script().on(Some(method), pattern)
    }

    /// As [`on`](Self::on), for every method.
    pub fn on_any(&self, pattern: &str) -> Rule {
        self.server.script().on(None, pattern)
    }

    /// Removes all rules.
    pub fn clear_rules(&self) {
        self.server.script().clear();
    }

    /// All requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.server.log().requests()
    }

    /// Forgets the requests, and sets the counters of connections and requests in flight back.
    pub fn clear_requests(&self) {
        self.server.log().clear();
    }

    /// The number of TCP connections accepted.
    pub fn connections(&self) -> u64 {
        self.server.log().connections()
    }

    /// The largest number of requests that were under way at once.
    pub fn most_in_flight(&self) -> usize {
        self.server.log().most_in_flight()
    }

    pub(crate) fn issued(&self) -> Arc<Issued> {
        Arc::clone(&self.tokens.issued)
    }

    /// Issues signed tokens from now on; the certificate they are checked with, as PEM.
    pub(crate) fn sign_tokens(&self) -> String {
        self.tokens.signer.get_or_init(Signer::new).certificate_pem()
    }
}

/// Who asks for a token.
enum Caller {
    LoggedIn(String),
    Anonymous,
}

impl Tokens {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn caller(&self, request: &Request) -> Option<Caller> {
        let settings = self.settings();
        let known = |user: &str, password: &str| {
            let good = settings.accounts.get(user).is_some_and(|expected| expected == password);
            good.then(|| Caller::LoggedIn(user.to_owned()))
        };
        if request.method == Method::Post {
            return match request.form("grant_type")?.as_str() {
                "refresh_token" => {
                    let token = request.form("refresh_token")?;
                    settings.refresh_tokens.contains(&token).then(|| Caller::LoggedIn("refreshed".to_owned()))
                }
                "password" => known(&request.form("username")?, &request.form("password")?),
                _ => None,
            };
        }
        match request.authorization() {
            Some(value) => {
                let pair = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
                let (user, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
                known(user, password)
            }
            None => (settings.anonymous != Anonymous::Refused).then_some(Caller::Anonymous),
        }
    }

    /// The scopes that are asked for, cut down to what the caller may have.
    fn grant(&self, request: &Request, caller: &Caller) -> Vec<Scope> {
        let settings = self.settings();
        let query = request.target.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let form = std::str::from_utf8(&request.body).unwrap_or_default();
        let asked = all_parameters(query, "scope").chain(all_parameters(form, "scope"));
        let texts: Vec<String> = asked.collect();
        let mut scopes: Vec<Scope> =
            texts.iter().flat_map(|text| text.split_whitespace()).filter_map(Scope::parse).collect();
        for scope in &mut scopes {
            if matches!(caller, Caller::Anonymous) && settings.anonymous == Anonymous::Pull {
                scope.actions.retain(|action| action == "pull");
            }
            if let Some(most) = &settings.actions {
                scope.actions.retain(|action| most.contains(action));
            }
        }
        scopes
    }

    fn issue(&self, request: &Request, caller: &Caller) -> Response<Bytes> {
        let scopes = self.grant(request, caller);
        let (expires_in, uses) = {
            let settings = self.settings();
            (settings.expires_in, settings.uses)
        };
        let subject = match caller {
            Caller::LoggedIn(user) => user.as_str(),
            Caller::Anonymous => "",
        };
        let serial = self.issued.next();
        let token = match self.signer.get() {
            Some(signer) => signer.token(serial, subject, &scopes, expires_in.unwrap_or(60)),
            None => format!("opaque-token-{serial}"),
        };
        self.issued.add(token.clone(), scopes, uses);
        let mut answer = Map::new();
        answer.insert("access_token".to_owned(), json!(token));
        if request.method == Method::Get {
            answer.insert("token".to_owned(), json!(token));
        }
        if let Some(seconds) = expires_in {
            answer.insert("expires_in".to_owned(), json!(seconds));
        }
        respond(200, &serde_json::Value::Object(answer))
    }
}

impl Handler for Tokens {
    fn refuse(&self, _request: &Request) -> Option<Response<Bytes>> {
        // Logins may stand in the body, so they are looked at later; rules apply to all requests.
        None
    }

    fn handle(&self, request: &Request) -> Response<Bytes> {
        if request.path() != "/token" {
            return respond(404, &json!({ "details": "not found" }));
        }
        match (request.method, self.caller(request)) {
            (Method::Get | Method::Post, Some(caller)) => self.issue(request, &caller),
            (Method::Get | Method::Post, None) => {
                let mut answer = respond(401, &json!({ "details": "incorrect username or password" }));
                let challenge = http::HeaderValue::from_static("Basic realm=\"token server\"");
                answer.headers_mut().insert("www-authenticate", challenge);
                answer
            }
            _ => respond(405, &json!({ "details": "method not allowed" })),
        }
    }

    fn forget(&self, _request: &Request) -> Response<Bytes> {
        self.issued.revoke();
        respond(404, &json!({ "details": "not found" }))
    }
}

fn respond(status: u16, body: &serde_json::Value) -> Response<Bytes> {
    let answer = Response::builder().status(status).header("content-type", "application/json");
    answer.body(body.to_string().into()).expect("a plain answer")
}
