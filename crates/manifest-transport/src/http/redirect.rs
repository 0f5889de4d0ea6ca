//! Where a server may send us, and what we take along.

use http::{Method, StatusCode, header};
use url::{Host, Url};

use super::{Chosen, Request, Response, Stands, authority, is_loopback, same_origin};
use crate::auth::realm::server_chosen_address_is_forbidden;
use crate::error::TransportError;

/// Redirects that one request follows at most.
const MAX_HOPS: usize = 10;

/// A request on its way from redirect to redirect.
pub(super) struct Hops {
    request: Request,
    count: usize,
}

impl Hops {
    pub(super) fn new(request: &Request) -> Self {
        Self { request: request.clone(), count: 0 }
    }

    pub(super) const fn request(&self) -> &Request {
        &self.request
    }

    /// Turns to where `response` points, which came from `sender`; `None` when it is an answer and not a redirect.
    ///
    /// Once the origin has been left, its credentials are gone for good, even when a later hop leads back.
    pub(super) fn next(&mut self, response: &Response, sender: Stands) -> Result<Option<()>, TransportError> {
        let reading = self.request.method == Method::GET || self.request.method == Method::HEAD;
        if !reading || !is_redirect(response.status()) {
            return Ok(None);
        }
        let Some(location) = response.header(header::LOCATION) else { return Ok(None) };
        self.count += 1;
        if self.count > MAX_HOPS {
            let what = format!("more than {MAX_HOPS} redirects");
            return Err(TransportError::Protocol { request: self.request.label(), what });
        }
        let target = target(&self.request, &location)?;
        if !same_origin(&self.request.url, &target) {
            self.request.headers.remove(header::AUTHORIZATION);
            self.request.chosen = Chosen::ByServer(sender);
            self.request.tls = super::Tls::default();
        }
        if is_loopback(&target) {
            // Judged already: only a registry on this machine sends us to this machine.
            self.request.chosen = Chosen::ByUser;
        }
        self.request.url = target;
        Ok(Some(()))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The URL that a server names in answer to `request`, if we may go there.
///
/// Never from https to http, never to anything but HTTP, and not to addresses that only this machine or its
/// neighbours should reach, unless the registry is such an address itself.
pub(crate) fn target(request: &Request, location: &str) -> Result<Url, TransportError> {
    let invalid = |_| TransportError::Protocol {
        request: request.label(),
        what: "the server names a location that is no URL".to_owned(),
    };
    let target = request.url.join(location).map_err(invalid)?;
    let refuse = |why: &str| {
        Err(TransportError::Untrusted {
            request: request.label(),
            to: format!("{}://{}", target.scheme(), authority(&target)),
            why: why.to_owned(),
        })
    };
    if !matches!(target.scheme(), "http" | "https") {
        return refuse("is not HTTP");
    }
    if request.url.scheme() == "https" && target.scheme() == "http" {
        return refuse("is plain HTTP while the registry is HTTPS");
    }
    let named = match target.host() {
        Some(Host::Ipv4(ip)) => server_chosen_address_is_forbidden(ip.into()),
        Some(Host::Ipv6(ip)) => server_chosen_address_is_forbidden(ip.into()),
        Some(Host::Domain(_)) => is_loopback(&target),
        None => true,
    };
    let own_kind = same_origin(&request.url, &target) || (is_loopback(&request.url) && is_loopback(&target));
    if named && !own_kind {
        return refuse("is an address that a server may not choose");
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEC-6, SEC-7 and rule 3 of redirects.
    #[test]
    fn a_server_may_send_us_only_where_no_harm_is_done() {
        for (from, location, expected) in [
            ("https://r.example/v2/a/", "b?c=%3D", Some("https://r.example/v2/a/b?c=%3D")),
            ("https://r.example/v2/", "https://s.example:8443/x", Some("https://s.example:8443/x")),
            ("https://r.example/v2/", "//s.example/x", Some("https://s.example/x")),
            ("https://r.example/v2/", "https://10.0.0.7/x", Some("https://10.0.0.7/x")),
            ("http://r.example/v2/", "https://r.example/x", Some("https://r.example/x")),
            ("http://127.0.0.1:5000/v2/", "http://localhost:9000/x", Some("http://localhost:9000/x")),
            ("https://r.example/v2/", "http://r.example/v2/", None),
            ("https://r.example/v2/", "HTTP://s.example/", None),
            ("https://r.example/v2/", "file:///etc/passwd", None),
            ("https://r.example/v2/", "https://127.0.0.1/", None),
            ("https://r.example/v2/", "https://localhost/", None),
            ("https://r.example/v2/", "https://[::1]/", None),
            ("https://r.example/v2/", "https://[::ffff:127.0.0.1]/", None),
            ("https://r.example/v2/", "https://0x7f.1/", None),
            ("https://r.example/v2/", "https://169.254.169.254/latest", None),
            ("http://127.0.0.1:5000/v2/", "http://169.254.169.254/latest", None),
            ("https://r.example/v2/", "https://[", None),
        ] {
            let request = Request::new(Method::GET, from.parse().unwrap(), &crate::Tls::default());
            let found = target(&request, location).ok();
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{from} {location}");
        }
    }
}
