//! What configuration files say about registries.
//!
//! Nothing here opens a file or reads the environment: who calls has found the files, and hands their text in.

mod document;
mod hosts;
mod registries;
mod route;
mod signatures;

pub use document::ConfigError;
pub use hosts::{HostConfig, Hosts};
pub use registries::{ConfigFile, Registries};
pub use route::{Blocked, Endpoint, Pulls, Route};
pub use signatures::{Lookaside, SignatureStores};
