//! A registry inside the test's process.

mod login;
mod rate;
mod route;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::Response;
use manifest_core::Digest;

use self::login::Login;
use self::rate::Rate;
use self::state::State;
use crate::http_server::{Handler, Server};
use crate::request::{Method, Request};
use crate::script::Rule;
use crate::token_server::TokenServer;

/// An OCI registry inside the test's process: real state, a log of all requests, scripted faults.
///
/// It listens on a free loopback port and speaks HTTP/1.1, keeping connections open. It is as strict as
/// the common registry: uploads must match their digest, a manifest whose children are missing is
/// refused, the query of an upload's `Location` must come back as it was sent.
///
/// Spec: OCI distribution-spec v1.1.1.
#[derive(Debug)]
pub struct FakeRegistry {
    server: Server,
    registry: Arc<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    state: Mutex<State>,
    login: Mutex<Login>,
    rate: Mutex<Option<Rate>>,
}

impl FakeRegistry {
    /// Starts an empty registry that asks for no login.
    pub fn start() -> Self {
        let registry = Arc::new(Registry::default());
        let handler: Arc<dyn Handler> = Arc::<Registry>::clone(&registry);
        Self { server: Server::start("fake-registry", handler), registry }
    }

    /// Host and port, `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// Begins a rule for requests with this method and path.
    ///
    /// `*` in the pattern stands for any characters, slashes too. The query is compared only if the
    /// pattern holds a `?`.
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

    /// Asks for this user and password from now on, on every request.
    pub fn basic(&self, user: &str, password: &str) {
        *self.registry.login() = Login::basic(user, password);
    }

    /// Asks for a token of this server with the right scope from now on, on every request.
    pub fn bearer(&self, tokens: &TokenServer) {
        *self.registry.login() = Login::bearer(tokens);
    }

    /// Asks for no login from now on.
    pub fn anonymous(&self) {
        *self.registry.login() = Login::Anonymous;
    }

    /// Answers "too many requests" to all but so many in each second, from now on.
    pub fn allow_per_second(&self, requests: usize) {
        *self.registry.rate() = Some(Rate::new(requests));
    }

    /// With [`allow_per_second`](Self::allow_per_second): the most requests that came within one second since the client
    /// could know of the first refusal.
    pub fn busiest_second(&self) -> Option<usize> {
        self.registry.rate().as_ref().and_then(Rate::busiest)
    }

    /// Accepts manifests whose children are missing from now on.
    pub fn allow_missing_children(&self) {
        self.registry.state().allow_missing_children = true;
    }

    /// Answers `/referrers/` requests, and `OCI-Subject` on manifests with a subject, from now on.
    pub fn serve_referrers(&self) {
        self.registry.state().serve_referrers = true;
    }

    /// Leaves `OCI-Subject` out from now on, even where referrers are served.
    pub fn hide_subjects(&self) {
        self.registry.state().hide_subjects = true;
    }

    /// Lists so many referrers on a page from now on, with a `Link` to the next one.
    pub fn page_referrers(&self, count: usize) {
        self.registry.state().referrers_per_page = Some(count);
    }

    /// Refuses manifests for which this holds, as invalid, from now on; what is no JSON is taken for null.
    pub fn refuse_manifests(&self, refused: fn(&serde_json::Value) -> bool) {
        self.registry.state().refused = Some(refused);
    }

    /// Lets no tag mean anything else from now on.
    pub fn freeze_tags(&self) {
        self.registry.state().freeze_tags = true;
    }

    /// Opens an upload for each blob that should be mounted, from now on.
    pub fn never_mount(&self) {
        self.registry.state().never_mount = true;
    }

    /// Refuses to delete manifests by their digests from now on.
    pub fn keep_manifests(&self) {
        self.registry.state().keep_manifests = true;
    }

    /// Refuses to delete tags from now on.
    pub fn keep_tags(&self) {
        self.registry.state().keep_tags = true;
    }

    /// Passes over preconditions from now on, as most registries do, also over those that it gives entity tags for.
    pub fn ignore_preconditions(&self) {
        self.registry.state().ignore_preconditions = true;
    }

    /// Sets the tags that `?tag=` of a manifest written by digest names, from now on.
    pub fn set_many_tags(&self) {
        self.registry.state().set_many_tags = true;
    }

    /// Says from now on that pieces of a blob should have so many bytes; smaller ones are taken all the same.
    pub fn chunk_min_length(&self, bytes: u64) {
        self.registry.state().chunk_min_length = Some(bytes);
    }

    /// Takes at most so many bytes of a blob in one request from now on.
    pub fn body_limit(&self, bytes: u64) {
        self.registry.state().body_limit = Some(bytes);
    }

    /// Keeps simple signatures, and says so, from now on.
    pub fn serve_signatures(&self) {
        self.registry.state().signatures.get_or_insert_default();
    }

    /// Stores a blob.
    pub fn put_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        self.registry.state().put_blob(repository, bytes.into())
    }

    /// Stores a manifest under a tag, or under its digest alone. Nothing is checked.
    pub fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Digest {
        self.registry.state().put_manifest(repository, reference, media_type, bytes.into())
    }

    /// The media type and the bytes of a manifest, by tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, Vec<u8>)> {
        let state = self.registry.state();
        let (_, manifest) = state.manifest(repository, reference)?;
        Some((manifest.media_type.clone(), manifest.bytes.to_vec()))
    }

    /// The digest a tag stands for.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<Digest> {
        self.registry.state().manifest(repository, tag).map(|(digest, _)| digest)
    }

    /// The bytes of a blob.
    pub fn blob(&self, repository: &str, digest: &Digest) -> Option<Bytes> {
        self.registry.state().blob(repository, digest)
    }

    /// Whether a repository has a blob.
    pub fn has_blob(&self, repository: &str, digest: &Digest) -> bool {
        self.blob(repository, digest).is_some()
    }

    /// Removes a blob behind the client's back.
    pub fn remove_blob(&self, repository: &str, digest: &Digest) {
        self.registry.state().remove_blob(repository, digest);
    }

    /// The tags of a repository, sorted.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.registry.state().tags(repository)
    }

    /// The number of upload sessions that were neither finished nor cancelled.
    pub fn open_uploads(&self) -> usize {
        self.registry.state().open_uploads()
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
}

impl Registry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn login(&self) -> MutexGuard<'_, Login> {
        self.login.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn rate(&self) -> MutexGuard<'_, Option<Rate>> {
        self.rate.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Handler for Registry {
    fn refuse(&self, request: &Request) -> Option<Response<Bytes>> {
        let too_many = self.rate().as_mut().and_then(Rate::refuse);
        too_many.or_else(|| self.login().refuse(request))
    }

    fn handle(&self, request: &Request) -> Response<Bytes> {
        route::answer(&mut self.state(), request)
    }

    fn partial(&self, request: &Request) {
        route::keep_partial(&mut self.state(), request);
    }

    fn forget(&self, request: &Request) -> Response<Bytes> {
        route::forget(&mut self.state(), request)
    }
}
