//! Proving to one registry who asks: no login before it wants one, one token for many requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use http::{HeaderValue, Method, header};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::challenge::{self, Challenge};
use super::realm::{self, Realm, RealmDoubt};
use super::{CredentialSearch, Found, Login};
use crate::error::TransportError;
use crate::http::{Body, Chosen, Http, Request, Response, Tls, authority, same_origin};
use crate::observe::Event;
use crate::secret::Secret;

/// Bytes of a token server's answer that are read.
const MAX_TOKEN_BODY: usize = 1 << 20;
/// How long a token lives when its server does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// What a request does in which repositories; the value tells whether it writes.
pub(crate) type Scopes = BTreeMap<String, bool>;

/// The scopes of one repository.
pub(crate) fn scope(repository: &str, writes: bool) -> Scopes {
    [(repository.to_owned(), writes)].into()
}

/// Proves to one registry who asks.
#[derive(Debug)]
pub(crate) struct Authorizer {
    http: Http,
    registry: Url,
    /// `host[:port]` as the user wrote it: what logins are kept under.
    host: String,
    tls: Tls,
    credentials: Arc<CredentialSearch>,
    allowed_pairs: Vec<(String, String)>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    scheme: Scheme,
    /// The login, once it has been looked up.
    login: Option<Option<Found>>,
    /// Every scope that was ever needed; each token is asked for all of them.
    wanted: Scopes,
    tokens: Vec<Token>,
    /// Why the token server was not given the login, if it was not.
    doubt: Option<(String, RealmDoubt)>,
}

#[derive(Clone, Debug, Default)]
enum Scheme {
    /// The registry has not asked for anything yet.
    #[default]
    Nothing,
    Basic(HeaderValue),
    Bearer {
        realm: Url,
        service: Option<String>,
    },
    /// A ready token from the login.
    Ready(HeaderValue),
}

#[derive(Clone, Debug)]
struct Token {
    scopes: Scopes,
    header: HeaderValue,
    until: Duration,
    life: Duration,
}

impl Token {
    fn covers(&self, need: &Scopes) -> bool {
        need.iter().all(|(path, writes)| self.scopes.get(path).is_some_and(|has| *has || !writes))
    }

    /// Whether enough of its life is left to start a request; a body may take its time.
    fn lives(&self, now: Duration) -> bool {
        let margin = (self.life / 5).max(Duration::from_secs(30)).min(self.life / 2);
        now + margin < self.until
    }
}

/// What a request proved itself with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proof(Option<HeaderValue>);

impl Authorizer {
    pub(crate) fn new(
        http: Http,
        registry: Url,
        host: &str,
        tls: Tls,
        credentials: Arc<CredentialSearch>,
        allowed_pairs: Vec<(String, String)>,
    ) -> Self {
        let (host, state) = (host.to_owned(), Mutex::default());
        Self { http, registry, host, tls, credentials, allowed_pairs, state }
    }

    /// Announces scopes that will be needed, so that one token serves for all of them.
    pub(crate) async fn expect(&self, scopes: &Scopes) {
        want(&mut self.state.lock().await.wanted, scopes);
    }

    /// Adds to a request what proves that it may be made, as far as the registry has asked for it.
    pub(crate) async fn prove(&self, request: &mut Request, need: &Scopes) -> Result<Proof, TransportError> {
        if !same_origin(&request.url, &self.registry) {
            return Ok(Proof(None));
        }
        let mut state = self.state.lock().await;
        want(&mut state.wanted, need);
        let header = match state.scheme.clone() {
            Scheme::Nothing => None,
            Scheme::Basic(header) | Scheme::Ready(header) => Some(header),
            Scheme::Bearer { realm, service } => {
                let now = self.http.clock().elapsed();
                match state.tokens.iter().find(|token| token.covers(need) && token.lives(now)) {
                    Some(token) => Some(token.header.clone()),
                    None => Some(self.fetch(&mut state, &realm, service.as_deref(), need).await?),
                }
            }
        };
        if let Some(header) = &header {
            request.headers.insert(header::AUTHORIZATION, header.clone());
        }
        Ok(Proof(header))
    }

    /// Takes a 401 to heart: `Ok` when the request should be made again, an error when that is no use.
    pub(crate) async fn challenged(
        &self,
        response: Response,
        proof: &Proof,
        need: &Scopes,
        last: bool,
    ) -> Result<(), TransportError> {
        let own = same_origin(response.url(), &self.registry);
        let challenges = challenge::parse(response.headers().get_all(header::WWW_AUTHENTICATE));
        // Read before waiting for others: an answer that is kept keeps one of the places for requests to its
        // host, which may be the token server's too, and who holds the lock waits for such a place.
        let said = said(response).await;
        let mut state = self.state.lock().await;
        if own && !last {
            state.tokens.retain(|token| Some(&token.header) != proof.0.as_ref());
            let now = self.http.clock().elapsed();
            let renewed = state.tokens.iter().any(|token| token.covers(need) && token.lives(now));
            if renewed || self.accept(&mut state, challenges, proof, need).await? {
                return Ok(());
            }
        }
        Err(self.rejected(&state, said, need))
    }

    /// Leaves a repository out of tokens asked for from now on, until it is needed again.
    pub(crate) async fn forget(&self, repository: &str) {
        self.state.lock().await.wanted.remove(repository);
    }

    /// Settles on one of the offered ways in; whether there is a new one to try.
    async fn accept(
        &self,
        state: &mut State,
        challenges: Vec<Challenge>,
        proof: &Proof,
        need: &Scopes,
    ) -> Result<bool, TransportError> {
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, scope, .. } => Some((realm, service, scope)),
            Challenge::Basic { .. } | Challenge::Other(_) => None,
        });
        let basic = challenges.iter().any(|challenge| matches!(challenge, Challenge::Basic { .. }));
        let path = need.keys().next().map(String::as_str).unwrap_or_default();
        let login = self.login(state, path).await?.map(|found| found.login);
        if let Some((realm, service, scopes)) = bearer {
            if let Some(Login::Registry { token }) = login {
                state.scheme = Scheme::Ready(self.header("Bearer", token.expose())?);
                return Ok(proof.0.is_none());
            }
            let realm = self.registry.join(realm).map_err(|_invalid| self.protocol("the realm is no URL"))?;
            // The challenge may ask for more than we thought that we need.
            want(&mut state.wanted, &read_scopes(scopes));
            state.scheme = Scheme::Bearer { realm: realm.clone(), service: service.clone() };
            self.fetch(state, &realm, service.as_deref(), need).await?;
            return Ok(true);
        }
        let Some(Login::Basic { username, password }) = login.filter(|_| basic && proof.0.is_none()) else {
            return Ok(false);
        };
        state.scheme = Scheme::Basic(self.basic(&username, &password)?);
        Ok(true)
    }

    async fn login(&self, state: &mut State, path: &str) -> Result<Option<Found>, TransportError> {
        if state.login.is_none() {
            let found = self.credentials.lookup(&self.host, path).await?;
            if let Some(found) = &found {
                let (host, origin) = (self.host.clone(), found.origin.clone());
                self.http.observe(Event::Login { host, origin });
            }
            state.login = Some(found);
        }
        Ok(state.login.clone().flatten())
    }

    /// Asks the token server for one token for everything that is wanted.
    async fn fetch(
        &self,
        state: &mut State,
        realm: &Url,
        service: Option<&str>,
        need: &Scopes,
    ) -> Result<HeaderValue, TransportError> {
        let path = need.keys().next().map(String::as_str).unwrap_or_default();
        let login = self.trusted_login(state, realm, path).await?;
        let request = self.token_request(realm, service, &state.wanted, login)?;
        let label = request.label();
        let unusable =
            |what: &str| TransportError::Protocol { request: label.clone(), what: what.to_owned() };
        let (response, body) = self.http.send_and_read(request, MAX_TOKEN_BODY).await?;
        let body = match response.status().as_u16() {
            200..=299 => body,
            400 | 401 | 403 => return Err(self.rejected(state, said(response).await, need)),
            _ => return Err(response.refusal().await),
        };
        let body = body.ok_or_else(|| unusable("the token server's answer is larger than 1 MiB"))?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_invalid| unusable("the token server's answer is not the JSON of a token"))?;
        let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| unusable("the token server's answer holds no token"))?;
        let header = self.header("Bearer", token.expose())?;
        let life = answer.expires_in.and_then(|life| life.as_u64()).filter(|life| *life > 0);
        let life = life.map_or(DEFAULT_LIFE, |life| Duration::from_secs(life.min(86_400)));
        let now = self.http.clock().elapsed();
        let token = Token { scopes: state.wanted.clone(), header: header.clone(), until: now + life, life };
        state.tokens.retain(|old| old.lives(now) && !token.covers(&old.scopes));
        state.tokens.push(token);
        Ok(header)
    }

    /// The login, if the token server may have it.
    async fn trusted_login(
        &self,
        state: &mut State,
        realm: &Url,
        path: &str,
    ) -> Result<Option<Login>, TransportError> {
        let login = self.login(state, path).await?.map(|found| found.login);
        match realm::judge(&self.registry, realm, &self.allowed_pairs) {
            Realm::Trusted => {
                state.doubt = None;
                Ok(login)
            }
            Realm::AnonymousOnly { why } => {
                state.doubt = login.map(|_| (authority(realm), why));
                Ok(None)
            }
            Realm::Refused { why } => Err(self.distrusted(authority(realm), why)),
        }
    }

    fn token_request(
        &self,
        realm: &Url,
        service: Option<&str>,
        wanted: &Scopes,
        login: Option<Login>,
    ) -> Result<Request, TransportError> {
        let tls = if same_origin(realm, &self.registry) { self.tls.clone() } else { Tls::default() };
        let mut request = Request::new(Method::GET, realm.clone(), &tls);
        let by_user = authority(realm) == authority(&self.registry) || crate::http::is_loopback(realm);
        request.chosen = if by_user { Chosen::ByUser } else { Chosen::ByServer };
        let scopes: Vec<String> = wanted.iter().map(|(path, writes)| scope_text(path, *writes)).collect();
        if let Some(Login::Identity { token }) = &login {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token.expose());
            form.append_pair("client_id", "manifest").append_pair("service", service.unwrap_or_default());
            form.append_pair("scope", &scopes.join(" "));
            request.method = Method::POST;
            request.body = Body::Bytes(form.finish().into());
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers.insert(header::CONTENT_TYPE, form);
            return Ok(request);
        }
        let mut query = request.url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        for scope in &scopes {
            query.append_pair("scope", scope);
        }
        if let Some(Login::Basic { username, .. }) = &login {
            query.append_pair("account", username);
        }
        drop(query);
        if let Some(Login::Basic { username, password }) = &login {
            request.headers.insert(header::AUTHORIZATION, self.basic(username, password)?);
        }
        Ok(request)
    }

    fn rejected(&self, state: &State, message: String, need: &Scopes) -> TransportError {
        if let Some((server, why)) = state.doubt.clone() {
            return self.distrusted(server, why);
        }
        let found = state.login.as_ref().and_then(Option::as_ref);
        let login = found.map_or_else(
            || "a request without a login".to_owned(),
            |found| format!("the login in {}", found.origin),
        );
        let repository = need.keys().next().cloned().unwrap_or_default();
        TransportError::NotAuthorised { host: self.host.clone(), repository, login, message }
    }

    fn distrusted(&self, server: String, why: RealmDoubt) -> TransportError {
        TransportError::Realm { registry: self.host.clone(), server, why }
    }

    fn basic(&self, username: &str, password: &Secret) -> Result<HeaderValue, TransportError> {
        let pair = Secret::new(format!("{username}:{}", password.expose()));
        self.header("Basic", &base64::engine::general_purpose::STANDARD.encode(pair.expose()))
    }

    fn header(&self, scheme: &str, value: &str) -> Result<HeaderValue, TransportError> {
        let text = Secret::new(format!("{scheme} {value}"));
        let mut header = HeaderValue::from_str(text.expose()).map_err(|_invalid| {
            self.protocol("the login or token holds characters that a header cannot carry")
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    fn protocol(&self, what: &str) -> TransportError {
        TransportError::Protocol { request: format!("login at {}", self.host), what: what.to_owned() }
    }
}

/// What an error says, or its code when it says nothing.
async fn said(mut response: Response) -> String {
    let (code, message) = response.error().await;
    if message.is_empty() { code } else { message }
}

fn want(wanted: &mut Scopes, more: &Scopes) {
    for (path, writes) in more {
        *wanted.entry(path.clone()).or_default() |= writes;
    }
}

fn scope_text(path: &str, writes: bool) -> String {
    format!("repository:{path}:{}", if writes { "pull,push" } else { "pull" })
}

/// The scopes of a challenge that concern repositories.
fn read_scopes(texts: &[String]) -> Scopes {
    let one = |text: &String| {
        let rest = text.strip_prefix("repository:")?;
        let (path, actions) = rest.rsplit_once(':')?;
        Some((path.to_owned(), actions.split(',').any(|action| action == "push" || action == "*")))
    };
    texts.iter().filter_map(one).collect()
}

#[derive(Deserialize)]
struct Answer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_a_challenge_are_read() {
        let texts =
            ["repository:a/b:pull,push", "repository:c:pull", "registry:catalog:*", "odd"].map(str::to_owned);
        let expected = [("a/b".to_owned(), true), ("c".to_owned(), false)];
        assert_eq!(read_scopes(&texts), Scopes::from(expected));
        assert_eq!(scope_text("a/b", true), "repository:a/b:pull,push");
    }

    #[test]
    fn a_token_serves_while_it_covers_and_lives() {
        let (life, until) = (Duration::from_secs(300), Duration::from_secs(300));
        let header = HeaderValue::from_static("Bearer t");
        let token = Token { scopes: scope("a", true), header, until, life };
        assert!(token.covers(&scope("a", false)) && token.covers(&scope("a", true)));
        assert!(!token.covers(&scope("b", false)));
        assert!(token.lives(Duration::from_secs(239)) && !token.lives(Duration::from_secs(240)));
        let short = Token { life: Duration::from_secs(10), until: Duration::from_secs(10), ..token };
        assert!(short.lives(Duration::from_secs(4)) && !short.lives(Duration::from_secs(5)));
    }
}
