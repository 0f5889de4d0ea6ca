//! What proves who we are.

use crate::secret::Secret;

/// A login for one registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Login {
    /// A user name and password.
    Basic {
        /// The user's name, which may be empty.
        username: String,
        /// The password or access token.
        password: Secret,
    },
    /// An OAuth2 refresh token, to be exchanged at the token server.
    Identity {
        /// The refresh token.
        token: Secret,
    },
    /// A token that the registry itself takes as `Bearer`.
    Registry {
        /// The bearer token.
        token: Secret,
    },
}

impl Login {
    /// The login that a helper or a user means: the name `<token>` marks an identity token.
    pub fn new(username: impl Into<String>, password: impl Into<Secret>) -> Self {
        let (username, password) = (username.into(), password.into());
        if username == "<token>" {
            Self::Identity { token: password }
        } else {
            Self::Basic { username, password }
        }
    }

    /// Reads `user:password`, divided at the first colon; nothing when there is no colon.
    pub fn from_pair(pair: &str) -> Option<Self> {
        let (username, password) = pair.split_once(':')?;
        Some(Self::Basic { username: username.to_owned(), password: password.into() })
    }
}

/// A login and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The login.
    pub login: Login,
    /// Where it lies, for people: a path, a variable's name or a helper's; never a secret.
    pub origin: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_divided_at_its_first_colon() {
        let basic = |username: &str, password: &str| {
            Some(Login::Basic { username: username.to_owned(), password: password.into() })
        };
        let table = [
            ("ann:pw", basic("ann", "pw")),
            ("ann:p:w:", basic("ann", "p:w:")),
            ("ann:", basic("ann", "")),
            (":pw", basic("", "pw")),
            ("ann", None),
        ];
        for (pair, expected) in table {
            assert_eq!(Login::from_pair(pair), expected, "{pair}");
        }
    }

    /// SEC-12.
    #[test]
    fn no_secret_is_shown_by_debug() {
        let found = Found { login: Login::new("ann", "hunter2"), origin: "--creds".to_owned() };
        assert!(!format!("{found:?}").contains("hunter2"));
        assert!(!format!("{:?}", Login::new("<token>", "hunter2")).contains("hunter2"));
    }
}
