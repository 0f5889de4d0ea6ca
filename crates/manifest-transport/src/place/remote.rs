//! Repositories of registries, and the mirrors that are asked before them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use manifest_core::{Descriptor, Repository};

use super::{Place, Transport};
use crate::config::{Endpoint, Pulls};
use crate::error::TransportError;
use crate::http::Http;
use crate::manifest::{At, Fetched};
use crate::observe::Event;
use crate::registry::{Check, Registry};
use crate::start::Start;
use crate::stream::Blob;

/// A repository of a registry.
#[derive(Clone, Debug)]
pub struct RemoteRepository {
    /// Its name as the user wrote it.
    name: String,
    pub(super) registry: Arc<Registry>,
    pub(super) path: String,
    mirrors: Vec<MirroredRepository>,
}

/// A registry that is asked in the place of another.
#[derive(Debug)]
pub(super) struct Mirror {
    registry: Arc<Registry>,
    http: Http,
    /// Whether it could not be reached, so that it is not asked again.
    down: AtomicBool,
    /// Whether it was told that it failed; once is enough.
    told: AtomicBool,
}

/// The repository of a mirror that stands for another one.
#[derive(Clone, Debug)]
struct MirroredRepository {
    mirror: Arc<Mirror>,
    path: String,
    pulls: Pulls,
}

impl Transport {
    /// The place that holds a repository of a registry, where the configuration says that it is.
    pub fn repository(&self, repository: &Repository) -> Place {
        let route = self.settings.registries.route(repository);
        let registry = match route.blocked {
            None => self.registry(&route.home),
            // It is shared with nobody: the same registry may be open to others.
            Some(blocked) => {
                let new = Registry::new(self.http.clone(), &route.home.host, Arc::clone(&self.settings));
                Arc::new(new.blocked(blocked))
            }
        };
        let mirrors = route.mirrors.into_iter().map(|at| {
            let (mirror, pulls) = (self.mirror(&at), at.pulls);
            MirroredRepository { mirror, path: at.path, pulls }
        });
        let (name, mirrors) = (format!("docker://{repository}"), mirrors.collect());
        Place::Repository(Arc::new(RemoteRepository { name, registry, path: route.home.path, mirrors }))
    }

    fn registry(&self, at: &Endpoint) -> Arc<Registry> {
        let new = || {
            let registry = Registry::new(self.http.clone(), &at.host, Arc::clone(&self.settings));
            Arc::new(if at.insecure { registry.insecure() } else { registry })
        };
        match self.registries.lock() {
            Ok(mut known) => Arc::clone(known.entry((at.host.clone(), at.insecure)).or_insert_with(new)),
            Err(_) => new(),
        }
    }

    fn mirror(&self, at: &Endpoint) -> Arc<Mirror> {
        let new = || {
            let registry = Registry::new(self.impatient.clone(), &at.host, Arc::clone(&self.settings));
            let registry = Arc::new(if at.insecure { registry.insecure() } else { registry });
            let (down, told) = (AtomicBool::new(false), AtomicBool::new(false));
            Arc::new(Mirror { registry, http: self.http.clone(), down, told })
        };
        match self.mirrors.lock() {
            Ok(mut known) => Arc::clone(known.entry((at.host.clone(), at.insecure)).or_insert_with(new)),
            Err(_) => new(),
        }
    }

    /// Shows the login for a registry (`host[:port]`) to it.
    ///
    /// # Errors
    /// [`TransportError::NotAuthorised`] when it is not taken, [`TransportError::Realm`] when it was to be sent where
    /// it may not go.
    pub async fn check_login(&self, host: &str) -> Result<Check, TransportError> {
        let any = format!("{host}/x").parse::<Repository>();
        let route = any.map(|repository| self.settings.registries.route(&repository).home);
        // The login is for the host that was named, wherever its repositories are found.
        let insecure = route.is_ok_and(|home| home.host == host && home.insecure);
        let at = Endpoint { host: host.to_owned(), path: String::new(), insecure, pulls: Pulls::All };
        self.registry(&at).check_login().await
    }
}

impl Place {
    /// The same place, of which no mirror is asked: for those who must know what is there now.
    #[must_use]
    pub fn without_mirrors(&self) -> Self {
        let mut place = self.clone();
        if let Self::Repository(remote) = &mut place {
            Arc::make_mut(remote).mirrors.clear();
        }
        place
    }
}

impl RemoteRepository {
    /// The registry itself, and the path of the repository in it.
    pub(crate) fn home(&self) -> (Arc<Registry>, String) {
        (Arc::clone(&self.registry), self.path.clone())
    }

    /// Reads a manifest, from the first mirror that has it or else from the registry.
    pub(super) async fn manifest(&self, at: &At) -> Result<Fetched, TransportError> {
        for one in self.mirrors(at) {
            match one.mirror.registry.manifest(&one.path, at).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => one.mirror.failed(&self.name, &error),
            }
        }
        self.registry.manifest(&self.path, at).await
    }

    /// Opens a blob, of the first mirror that has it or else of the registry.
    pub(super) async fn blob(&self, blob: &Descriptor, start: &Start) -> Result<Blob, TransportError> {
        for one in self.mirrors(&At::Digest(blob.digest)) {
            match one.mirror.registry.blob(&one.path, blob, start).await {
                Ok(blob) => return Ok(blob),
                Err(error) => one.mirror.failed(&self.name, &error),
            }
        }
        self.registry.blob(&self.path, blob, start).await
    }

    fn mirrors(&self, at: &At) -> impl Iterator<Item = &MirroredRepository> {
        let serves = move |one: &&MirroredRepository| {
            one.pulls.serve(at) && !one.mirror.down.load(Ordering::Relaxed) && !self.registry.is_blocked()
        };
        self.mirrors.iter().filter(serves)
    }
}

impl fmt::Display for RemoteRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Mirror {
    /// Tells why the next one is asked.
    fn failed(&self, of: &str, error: &TransportError) {
        if matches!(error, TransportError::Unreachable { .. } | TransportError::Exhausted { .. }) {
            self.down.store(true, Ordering::Relaxed);
        }
        if !self.told.swap(true, Ordering::Relaxed) {
            let (mirror, of, cause) = (self.registry.host().to_owned(), of.to_owned(), error.to_string());
            self.http.observe(Event::Mirror { mirror, of, cause });
        }
    }
}
