//! Logins: what a server asks for, where its login lies or is to be kept, and who may receive it.
//!
//! Nothing here opens a connection, reads the environment or prints. The token exchange is built on top.

pub mod challenge;

mod error;
mod file;
mod helper;
mod keep;
mod key;
mod login;
mod place;
pub mod realm;
mod search;
pub(crate) mod token;

pub use challenge::Challenge;
pub use error::CredentialError;
pub use file::JsonFault;
pub use helper::HelperError;
pub use keep::LoginFile;
pub use key::LoginKey;
pub use login::{Found, Login};
pub use place::Environment;
pub use realm::{Realm, RealmDoubt};
pub use search::CredentialSearch;
