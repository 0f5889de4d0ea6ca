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
use crate::http::{Body, Chosen, Http, Request, Response, Stands, Tls, authority, same_origin};
use crate::observe::Event;
use crate::secret::Secret;

/// Bytes of a token server's answer that are read.
const MAX_TOKEN_BODY: usize = 1 << 20;
/// How long a token lives when its server does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// What a request does in a repository; whoever may do one thing here may do those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    #[default]
    Pull,
    Push,
    Delete,
}

/// What a request does in which repositories.
pub(crate) type Scopes = BTreeMap<String, Access>;

/// The scopes of one repository.
pub(crate) fn scope(repository: &str, access: Access) -> Scopes {
    [(repository.to_owned(), access)].into()
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
    /// The logins of repositories, as far as they have been looked up; they may differ within one registry.
    logins: BTreeMap<String, Option<Found>>,
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
    Basic,
    Bearer {
        realm: Url,
        service: Option<String>,
    },
}

#[derive(Clone, Debug)]
struct Token {
    /// Whose it is, even when the token server was not given the login.
    login: Option<Login>,
    scopes: Scopes,
    header: HeaderValue,
    until: Duration,
    life: Duration,
}

impl Token {
    fn covers(&self, need: &Scopes) -> bool {
        need.iter().all(|(path, access)| self.scopes.get(path).is_some_and(|has| has >= access))
    }

    /// Whether enough of its life is left to start a request; a body may take its time.
    fn lives(&self, now: Duration) -> bool {
        let margin = (self.life / 5).max(Duration::from_secs(30)).min(self.life / 2);
        now + margin < self.until
    }
}

impl State {
    fn token(&self, login: Option<&Login>, need: &Scopes, now: Duration) -> Option<&Token> {
        let fits = |token: &&Token| token.login.as_ref() == login && token.covers(need) && token.lives(now);
        self.tokens.iter().find(fits)
    }

    /// What a token of this login is asked for: everything that is wanted, but for what another login is for.
    fn wanted_with(&self, login: Option<&Login>, need: &Scopes) -> Scopes {
        let others = |path: &String| {
            let known = self.logins.get(path);
            known.is_some_and(|found| found.as_ref().map(|found| &found.login) != login)
        };
        let all = self.wanted.iter().filter(|(path, _)| need.contains_key(*path) || !others(path));
        all.map(|(path, access)| (path.clone(), *access)).collect()
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
            Scheme::Basic => match self.login(&mut state, need).await? {
                Some(Login::Basic { username, password }) => Some(self.basic(&username, &password)?),
                Some(Login::Identity { .. } | Login::Registry { .. }) | None => None,
            },
            Scheme::Bearer { realm, service } => {
                let login = self.login(&mut state, need).await?;
                let now = self.http.clock().elapsed();
                match (&login, state.token(login.as_ref(), need, now)) {
                    (Some(Login::Registry { token }), _) => Some(self.header("Bearer", token.expose())?),
                    (_, Some(token)) => Some(token.header.clone()),
                    (_, None) => Some(self.fetch(&mut state, &realm, service.as_deref(), need).await?),
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
            let login = self.login(&mut state, need).await?;
            let renewed = state.token(login.as_ref(), need, self.http.clock().elapsed()).is_some();
            if renewed || self.accept(&mut state, challenges, proof, need).await? {
                return Ok(());
            }
        }
        Err(self.rejected(&state, said, need))
    }

    /// Whether the registry asked for a login; an error when it was to go where it may not.
    pub(crate) async fn asked(&self) -> Result<bool, TransportError> {
        let state = self.state.lock().await;
        match state.doubt.clone() {
            Some((server, why)) => Err(self.distrusted(server, why)),
            None => Ok(!matches!(state.scheme, Scheme::Nothing)),
        }
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
        let login = self.login(state, need).await?;
        if let Some((realm, service, scopes)) = bearer {
            let realm = self.registry.join(realm).map_err(|_invalid| self.protocol("the realm is no URL"))?;
            // The challenge may ask for more than we thought that we need.
            want(&mut state.wanted, &read_scopes(scopes));
            state.scheme = Scheme::Bearer { realm: realm.clone(), service: service.clone() };
            if matches!(login, Some(Login::Registry { .. })) {
                return Ok(proof.0.is_none());
            }
            self.fetch(state, &realm, service.as_deref(), need).await?;
            return Ok(true);
        }
        if !basic || proof.0.is_some() || !matches!(login, Some(Login::Basic { .. })) {
            return Ok(false);
        }
        state.scheme = Scheme::Basic;
        Ok(true)
    }

    async fn login(&self, state: &mut State, need: &Scopes) -> Result<Option<Login>, TransportError> {
        let path = subject(need);
        if let Some(known) = state.logins.get(path) {
            return Ok(known.as_ref().map(|found| found.login.clone()));
        }
        let found = self.credentials.lookup(&self.host, path).await?;
        if let Some(found) = &found
            && !state.logins.values().flatten().any(|known| known == found)
        {
            let (host, origin) = (self.host.clone(), found.origin.clone());
            self.http.observe(Event::Login { host, origin });
        }
        let login = found.as_ref().map(|found| found.login.clone());
        state.logins.insert(path.to_owned(), found);
        Ok(login)
    }

    /// Asks the token server for one token for everything that is wanted.
    async fn fetch(
        &self,
        state: &mut State,
        realm: &Url,
        service: Option<&str>,
        need: &Scopes,
    ) -> Result<HeaderValue, TransportError> {
        let login = self.login(state, need).await?;
        let scopes = state.wanted_with(login.as_ref(), need);
        let trusted = self.trusted(state, realm, login.clone())?;
        let request = self.token_request(realm, service, &scopes, trusted)?;
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
        let token = Token { login, scopes, header: header.clone(), until: now + life, life };
        let outdone = |old: &Token| token.login == old.login && token.covers(&old.scopes);
        state.tokens.retain(|old| old.lives(now) && !outdone(old));
        state.tokens.push(token);
        Ok(header)
    }

    /// The login, if the token server may have it.
    fn trusted(
        &self,
        state: &mut State,
        realm: &Url,
        login: Option<Login>,
    ) -> Result<Option<Login>, TransportError> {
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
        if !by_user {
            let listed = realm::is_listed(&self.registry, realm, &self.allowed_pairs);
            let sender = if listed { Stands::Inside } else { self.http.stands(&self.registry) };
            request.chosen = Chosen::ByServer(sender);
        }
        let scopes: Vec<String> = wanted.iter().map(|(path, access)| scope_text(path, *access)).collect();
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
        let repository = subject(need).to_owned();
        let found = state.logins.get(&repository).and_then(Option::as_ref);
        let login = found.map_or_else(
            || "a request without a login".to_owned(),
            |found| format!("the login in {}", found.origin),
        );
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

/// The repository that a request is for: the one that it writes to, where it needs several.
fn subject(need: &Scopes) -> &str {
    let written = need.iter().find(|(_, access)| **access > Access::Pull).or_else(|| need.first_key_value());
    written.map(|(path, _)| path.as_str()).unwrap_or_default()
}

/// What an error says, or its code when it says nothing.
async fn said(mut response: Response) -> String {
    let (code, message) = response.error().await;
    if message.is_empty() { code } else { message }
}

fn want(wanted: &mut Scopes, more: &Scopes) {
    for (path, access) in more {
        let known = wanted.entry(path.clone()).or_default();
        *known = (*known).max(*access);
    }
}

fn scope_text(path: &str, access: Access) -> String {
    let actions = match access {
        Access::Pull => "pull",
        Access::Push => "pull,push",
        Access::Delete => "pull,push,delete",
    };
    format!("repository:{path}:{actions}")
}

/// The scopes of a challenge that concern repositories.
fn read_scopes(texts: &[String]) -> Scopes {
    let one = |text: &String| {
        let rest = text.strip_prefix("repository:")?;
        let (path, actions) = rest.rsplit_once(':')?;
        let access = |action| match action {
            "delete" => Access::Delete,
            "push" | "*" => Access::Push,
            _ => Access::Pull,
        };
        Some((path.to_owned(), actions.split(',').map(access).max().unwrap_or_default()))
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
        let texts = [
            "repository:a/b:pull,push",
            "repository:c:pull",
            "repository:d:delete",
            "registry:catalog:*",
            "odd",
        ]
        .map(str::to_owned);
        let expected = [("a/b", Access::Push), ("c", Access::Pull), ("d", Access::Delete)];
        let expected = expected.map(|(path, access)| (path.to_owned(), access));
        assert_eq!(read_scopes(&texts), Scopes::from(expected));
        assert_eq!(scope_text("a/b", Access::Push), "repository:a/b:pull,push");
    }

    #[test]
    fn a_token_serves_while_it_covers_and_lives() {
        let (life, until) = (Duration::from_secs(300), Duration::from_secs(300));
        let header = HeaderValue::from_static("Bearer t");
        let token = Token { login: None, scopes: scope("a", Access::Push), header, until, life };
        assert!(token.covers(&scope("a", Access::Pull)) && token.covers(&scope("a", Access::Push)));
        assert!(!token.covers(&scope("a", Access::Delete)) && !token.covers(&scope("b", Access::Pull)));
        assert!(token.lives(Duration::from_secs(239)) && !token.lives(Duration::from_secs(240)));
        let short = Token { life: Duration::from_secs(10), until: Duration::from_secs(10), ..token };
        assert!(short.lives(Duration::from_secs(4)) && !short.lives(Duration::from_secs(5)));
    }
}
