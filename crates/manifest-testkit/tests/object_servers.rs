//! The emulators of object stores, as the kit runs them.

#![allow(clippy::unwrap_used, reason = "helpers of tests report by panicking")]

use manifest_testkit::{Azurite, HttpAnswer, Moto};

type Headers<'a> = &'a [(&'a str, &'a str)];

/// What compare-and-swap rests on; `send` is the `send` of a server with a container `box`.
fn honours_preconditions(taken: u16, send: impl Fn(&str, &str, Headers<'_>, &[u8]) -> HttpAnswer) {
    let put = |headers: Headers<'_>, body: &str| send("PUT", "/box/team/app", headers, body.as_bytes());
    let first = put(&[("if-none-match", "*")], "one");
    assert!([200, 201].contains(&first.status), "{first:?}");
    assert_eq!(put(&[("if-none-match", "*")], "two").status, taken);

    let stale = first.header("etag").unwrap().to_owned();
    let second = put(&[("if-match", &stale)], "two");
    assert!([200, 201].contains(&second.status), "{second:?}");
    assert_ne!(second.header("etag"), Some(stale.as_str()));
    assert_eq!(put(&[("if-match", &stale)], "three").status, 412);

    let got = send("GET", "/box/team/app", &[], b"");
    assert_eq!((got.status, got.text()), (200, "two".to_owned()), "{got:?}");
}

#[test]
fn moto_refuses_a_second_create_and_a_stale_update() {
    let moto = Moto::start();
    moto.create_container("box");
    honours_preconditions(412, |method, target, headers, body| moto.send(method, target, headers, body));
    assert!(moto.environment().contains(&("AWS_ENDPOINT".to_owned(), moto.endpoint().to_owned())));
}

#[test]
fn azurite_refuses_a_second_create_and_a_stale_update() {
    let azurite = Azurite::start();
    azurite.create_container("box");
    honours_preconditions(409, |method, target, headers, body| azurite.send(method, target, headers, body));
    let url = ("AZURITE_BLOB_STORAGE_URL".to_owned(), azurite.endpoint().to_owned());
    assert!(azurite.environment().contains(&url));
}
