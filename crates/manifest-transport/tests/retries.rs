//! Faults that pass, and faults that do not.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use manifest_testkit::{Client, FakeRegistry, Image, Method, Rule, put_image};
use manifest_transport::{
    At, Clock, Event, Guard, Pause, Place, RetryPolicy, Settings, Transport, TransportError, Which,
};

fn v1() -> Which {
    Which::Remote(At::Tag("v1".parse().unwrap()))
}

fn start() -> (FakeRegistry, Client, Place) {
    start_with(RetryPolicy::default())
}

/// A registry with an image at `app:v1`, and a client with these retries.
fn start_with(retry: RetryPolicy) -> (FakeRegistry, Client, Place) {
    let registry = FakeRegistry::start();
    let client = Client::new(Settings { retry, ..Settings::default() });
    Image::new("linux/amd64").push_to(&registry, "app", "v1");
    let app = client.repository(&registry.address(), "app");
    (registry, client, app)
}

fn image() -> Image {
    Image::new("linux/amd64")
}

/// NET-1, NET-2, NET-3, NET-4, SEC-57.
#[tokio::test]
async fn a_pause_that_the_server_names_is_kept_in_every_form() {
    let date = [("date", "Tue, 15 Nov 1994 08:12:31 GMT"), ("retry-after", "Tue, 15 Nov 1994 08:12:51 GMT")];
    let past = [("date", "Tue, 15 Nov 1994 08:12:31 GMT"), ("retry-after", "Tue, 15 Nov 1994 08:12:01 GMT")];
    let two = [("retry-after", "3"), ("retry-after", "7")];
    let nested = "(".repeat(100_000);
    // Half of a tenth is added to what the server names; half of 250 ms is our own pause.
    for (headers, pause) in [
        (&[("retry-after", "2")][..], 2_100),
        (&date[..], 21_000),
        (&past[..], 125),
        (&two[..], 7_350),
        (&[("retry-after", "0")][..], 125),
        (&[("retry-after", "soon")][..], 187),
        (&[("retry-after", "-1")][..], 187),
        (&[("retry-after", nested.as_str())][..], 187),
        (&[][..], 187),
    ] {
        let (registry, client, app) = start();
        let rule = registry.on(Method::Get, "*").reply(429).without_header("date");
        let _rule = headers.iter().fold(rule, |rule, (name, value)| rule.header(name, value));
        app.manifest(&v1()).await.unwrap();
        assert_eq!(client.clock.pauses_in_ms(), [pause], "{headers:?}");
        assert_eq!(registry.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_host_that_is_asked_too_often_is_asked_more_slowly() {
    let (registry, client, app) = start();
    registry.on(Method::Get, "*").reply(429);
    for _ in 0..3 {
        app.manifest(&v1()).await.unwrap();
    }
    // The retry takes its turn, and those after it keep a distance of an eighth of a second.
    assert_eq!(client.clock.pauses_in_ms(), [187, 125, 125]);
}

/// NET-5.
#[tokio::test]
async fn three_faults_that_pass_are_survived_and_told() {
    for status in [408, 429, 499, 500, 502, 503, 504, 522] {
        let (registry, client, app) = start();
        registry.on(Method::Get, "*").reply(status).body("so busy").times(3);
        app.manifest(&v1()).await.unwrap();
        assert_eq!(registry.requests().len(), 4, "{status}");
        let told = client.retries();
        let expected = format!("GET http://{}/v2/app/manifests/v1", registry.address());
        assert_eq!(told.len(), 3, "{status}");
        assert!(
            told.iter().all(|told| *told == (expected.clone(), format!("status {status} so busy"))),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn each_retry_is_an_event_with_its_number_and_pause() {
    let (registry, client, app) = start();
    registry.on(Method::Get, "*").reply(503).times(2);
    app.manifest(&v1()).await.unwrap();
    let retries: Vec<_> = client
        .events
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Retry { retry, pause, .. } => Some((retry, pause.as_millis())),
            _ => None,
        })
        .collect();
    assert_eq!(retries, [(1, 125), (2, 250)]);
}

#[tokio::test]
async fn a_fault_that_stays_ends_after_six_attempts_with_doubling_pauses() {
    let (registry, client, app) = start();
    registry.on(Method::Get, "*").reply(500).body("broken").always();
    let error = app.manifest(&v1()).await.unwrap_err();
    assert_eq!(client.clock.pauses_in_ms(), [125, 250, 500, 1000, 2000]);
    assert_eq!(registry.requests().len(), 6);
    let text = error.to_string();
    assert!(
        matches!(&error, TransportError::Exhausted { attempts: 6, waited, last, .. }
            if *waited == Duration::from_millis(3875) && last == "status 500 broken"),
        "{error:?}"
    );
    assert!(text.contains("failed 6 times") && text.contains("status 500 broken"), "{text}");
}

#[tokio::test]
async fn answers_that_stay_are_not_asked_for_again() {
    for status in [409, 413, 415, 501, 505, 507, 511] {
        let (registry, client, app) = start();
        registry.on(Method::Get, "*").reply(status).always();
        let error = app.manifest(&v1()).await.unwrap_err();
        assert!(
            matches!(error, TransportError::Refused { status: found, .. } if found == status),
            "{error:?}"
        );
        assert_eq!((registry.requests().len(), client.clock.pauses().len()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn a_pause_beyond_the_budget_ends_at_once_and_says_when_to_come_back() {
    for status in [429, 503] {
        let (registry, client, app) = start();
        registry.on(Method::Get, "*").reply(status).header("retry-after", "3600").always();
        let error = app.manifest(&v1()).await.unwrap_err();
        assert!(
            matches!(&error, TransportError::ComeBack { after, .. } if after.as_secs() == 3600),
            "{error:?}"
        );
        assert!(error.to_string().contains("come back in 3600 s"), "{error}");
        assert_eq!((client.clock.pauses(), registry.requests().len()), (vec![], 1), "{status}");
    }
}

#[tokio::test]
async fn without_retries_the_first_fault_is_the_last() {
    let (registry, client, app) = start_with(RetryPolicy { retries: 0, ..RetryPolicy::default() });
    registry.on(Method::Get, "*").reply(503).always();
    let error = app.manifest(&v1()).await.unwrap_err();
    assert!(matches!(error, TransportError::Exhausted { attempts: 1, .. }), "{error:?}");
    assert_eq!((registry.requests().len(), client.clock.pauses().len()), (1, 0));
}

/// NET-7.
#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_made_again() {
    let (registry, client, app) = start();
    registry.on(Method::Get, "*").reset();
    app.manifest(&v1()).await.unwrap();
    registry.on(Method::Head, "*").reset().times(2);
    assert!(app.named_digest("v1").await.unwrap().is_some());
    assert_eq!(client.retries().len(), 3);
}

#[tokio::test]
async fn a_manifest_that_breaks_off_is_read_again() {
    let (registry, client, app) = start();
    registry.on(Method::Get, "*").cut_response_after(40);
    assert_eq!(app.manifest(&v1()).await.unwrap().digest, image().digest());
    assert_eq!((registry.requests().len(), client.retries().len()), (2, 1));
}

/// NET-7 and NET-8.
#[tokio::test]
async fn a_manifest_is_written_again_whether_or_not_the_first_time_took_effect() {
    type Fault = fn(Rule) -> Rule;
    let faults: [(&str, Fault); 4] = [
        ("reset", Rule::reset),
        ("applied, then reset", Rule::apply_then_reset),
        ("reset in the body", |rule| rule.reset_after_body_bytes(10)),
        ("503", |rule| rule.reply(503)),
    ];
    for (name, fault) in faults {
        let (registry, client, app) = start();
        let _rule = fault(registry.on(Method::Put, "/v2/app/manifests/v2"));
        let bytes = image().manifest();
        app.put_named(Some("v2"), &image().media_type(), bytes.into(), &Guard::default()).await.unwrap();
        assert_eq!(registry.tag("app", "v2"), Some(image().digest()), "{name}");
        assert_eq!((registry.requests().len(), client.retries().len()), (2, 1), "{name}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_retried_and_then_told() {
    let address = FakeRegistry::start().address();
    let client = Client::default();
    let error = client.repository(&address, "app").manifest(&v1()).await.unwrap_err();
    assert!(matches!(error, TransportError::Exhausted { attempts: 6, .. }), "{error:?}");
    assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
}

#[tokio::test]
async fn the_budget_is_that_of_the_whole_command() {
    let budget = Duration::from_secs(10);
    let (registry, client, app) = start_with(RetryPolicy { budget, ..RetryPolicy::default() });
    registry.on(Method::Get, "*").reply(503).always();
    let which = v1();
    let reads: Vec<_> = (0..16).map(|_| app.manifest(&which)).collect();
    for outcome in futures_util::future::join_all(reads).await {
        assert!(matches!(outcome, Err(TransportError::Exhausted { .. })), "{outcome:?}");
    }
    let waited: Duration = client.clock.pauses().iter().sum();
    assert!(waited <= budget, "{waited:?}");
    assert!(registry.requests().len() < 16 * 6, "the budget ended some of them early");
}

/// SEC-50.
#[tokio::test]
async fn a_long_story_about_an_error_is_cut_short() {
    let (registry, _client, app) = start_with(RetryPolicy { retries: 0, ..RetryPolicy::default() });
    for status in [400, 404, 503] {
        registry.on(Method::Get, "*").reply(status).body(vec![b'x'; 8 << 20]);
        let error = app.manifest(&v1()).await.unwrap_err();
        assert!(error.to_string().len() < 500, "{status}");
    }
}

/// A clock that stands still until the test opens the gate, and hurries on then.
#[derive(Debug)]
struct Held(tokio::sync::watch::Sender<bool>, std::sync::atomic::AtomicUsize);

impl Clock for Held {
    fn elapsed(&self) -> Duration {
        let pauses = u32::try_from(self.1.load(Ordering::SeqCst)).unwrap();
        if *self.0.borrow() { Duration::from_secs(1_000) * pauses } else { Duration::ZERO }
    }

    fn pause(&self, _: Duration) -> Pause {
        self.1.fetch_add(1, Ordering::SeqCst);
        let mut open = self.0.subscribe();
        Box::pin(async move {
            let _opened = open.wait_for(|open| *open).await.map(|_| ());
        })
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

/// The pause is 100 s and an attempt may take 60 s: waiting is no part of an attempt.
#[tokio::test]
async fn a_request_that_waits_for_its_turn_does_not_time_out() {
    let (registry, _client, _app) = start();
    let refusal = registry.on(Method::Get, "*").reply(429).header("retry-after", "100");
    let clock = Arc::new(Held(tokio::sync::watch::Sender::new(false), Default::default()));
    let events = Arc::<manifest_testkit::Recorder>::default();
    let (observer, time) = (Arc::clone(&events), Arc::clone(&clock));
    let transport = Transport::with_clock(Settings::default(), observer, time);
    let reference: manifest_core::Reference = format!("{}/app", registry.address()).parse().unwrap();
    let app = transport.repository(&reference.repository());
    let read = || {
        let app = app.clone();
        tokio::spawn(async move { app.manifest(&v1()).await.map(|_| ()) })
    };
    let waiting = async |count: usize| {
        while clock.1.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    };
    let first = read();
    waiting(1).await;
    let second = read();
    waiting(2).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    clock.0.send_replace(true);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    let retries = events.events().into_iter().filter(|event| matches!(event, Event::Retry { .. })).count();
    assert_eq!((refusal.hits(), retries), (1, 1), "only the refusal is a reason to try again");
}

/// NET-24. The server is silent for ever the first time; the clock of the timeouts is moved on when it has begun.
#[tokio::test]
async fn a_server_that_falls_silent_is_given_up_and_asked_again() {
    let image = Image::new("linux/amd64");
    let uploads = "/v2/app/blobs/uploads/*";
    for (method, pattern, seconds) in
        [(Method::Post, uploads, 61), (Method::Put, "/v2/app/manifests/v1", 61), (Method::Put, uploads, 421)]
    {
        let (registry, client, app) = start();
        let rule = registry.on(method, pattern).stall();
        let put = tokio::spawn({
            let (app, image) = (app.clone(), image.clone());
            async move { put_image(&app, &image, "v1").await }
        });
        while rule.hits() == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::pause();
        for _ in 0..seconds {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        tokio::time::resume();
        assert_eq!(put.await.unwrap().unwrap(), image.digest(), "{method:?}");
        assert_eq!((rule.hits(), client.retries().len()), (1, 1), "{method:?} {pattern}");
    }
}
