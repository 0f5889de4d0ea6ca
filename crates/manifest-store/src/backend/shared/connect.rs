//! Clients of the clouds, as the usual variables of each say.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};

use super::http::WritesOnce;
use crate::StoreError;
use crate::place::{Bucket, Cloud};

/// Bounds of a request, unless a variable such as `AWS_TIMEOUT` says otherwise.
const BOUNDS: [(ClientConfigKey, &str); 3] = [
    (ClientConfigKey::ConnectTimeout, "10 seconds"),
    (ClientConfigKey::ReadTimeout, "30 seconds"),
    (ClientConfigKey::Timeout, "5 minutes"),
];

/// The account of every emulator of Azure's storage, and its key, as Microsoft documents them.
const EMULATOR: (&str, &str) = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
);

/// Where the emulator listens when no variable says so.
const EMULATOR_URL: &str = "http://127.0.0.1:10000";

type Variables = [(String, String)];

/// What reaches a bucket. Nothing is sent yet.
pub(super) fn client(bucket: &Bucket, variables: &Variables) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let made = match bucket.cloud {
        Cloud::Amazon => amazon(&bucket.name, variables),
        Cloud::Google => google(&bucket.name, variables),
        Cloud::Azure => azure(&bucket.name, variables),
    };
    made.map_err(|error| {
        let error = match error {
            object_store::Error::Generic { source, .. } => source.to_string(),
            error => error.to_string(),
        };
        // A value that cannot be read may stand in the message.
        let secrets = variables.iter().map(|(_, value)| value).filter(|value| value.len() > 3);
        let why = secrets.fold(error, |text, value| text.replace(value.as_str(), "***"));
        StoreError::Address { url: bucket.to_string(), why }
    })
}

fn amazon(bucket: &str, variables: &Variables) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::new().with_http_connector(WritesOnce::default()).with_retry(retry());
    for (key, value) in BOUNDS {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    for (key, value) in named(variables, "AWS_") {
        builder = builder.with_config(key, value);
    }
    // Without conditions there is no store.
    let builder = builder.with_bucket_name(bucket).with_conditional_put(S3ConditionalPut::ETagMatch);
    Ok(Arc::new(builder.build()?))
}

fn google(bucket: &str, variables: &Variables) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder =
        GoogleCloudStorageBuilder::new().with_http_connector(WritesOnce::default()).with_retry(retry());
    for (key, value) in BOUNDS {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    if let Some(path) = value(variables, "SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (key, value) in named(variables, "GOOGLE_") {
        builder = builder.with_config(key, value);
    }
    Ok(Arc::new(builder.with_bucket_name(bucket).build()?))
}

fn azure(container: &str, variables: &Variables) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder =
        MicrosoftAzureBuilder::new().with_http_connector(WritesOnce::default()).with_retry(retry());
    for (key, value) in BOUNDS {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    if let Some(url) = value(variables, "MSI_ENDPOINT") {
        builder = builder.with_msi_endpoint(url);
    }
    let is_emulated = value(variables, "AZURE_STORAGE_USE_EMULATOR").is_some_and(is_true);
    if is_emulated {
        builder = builder.with_account(EMULATOR.0).with_access_key(EMULATOR.1).with_allow_http(true);
    }
    for (key, value) in named(variables, "AZURE_") {
        if key != AzureConfigKey::UseEmulator {
            builder = builder.with_config(key, value);
        }
    }
    if is_emulated {
        // `object_store` itself would look into the environment of the process for the address. An emulator
        // has the account in front of the container.
        let account = builder.get_config_value(&AzureConfigKey::AccountName).unwrap_or_default();
        let url = value(variables, "AZURITE_BLOB_STORAGE_URL").unwrap_or(EMULATOR_URL);
        builder = builder.with_endpoint(format!("{}/{account}", url.trim_end_matches('/')));
    }
    Ok(Arc::new(builder.with_container_name(container).build()?))
}

/// The variables that begin with a prefix and say something to a client, as its `from_env` reads them.
fn named<'a, K: std::str::FromStr>(
    variables: &'a Variables,
    prefix: &'a str,
) -> impl Iterator<Item = (K, &'a str)> {
    let known = move |(name, value): &'a (String, String)| {
        let key = Some(name).filter(|name| name.starts_with(prefix))?.to_ascii_lowercase().parse().ok()?;
        Some((key, value.as_str()))
    };
    variables.iter().filter_map(known)
}

fn value<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
    variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y")
}

/// How often what may be repeated is repeated: reads, listings, deletions, logins.
fn retry() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(3),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 5, retry_timeout: Duration::from_secs(30) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;

    fn connect(place: &str, variables: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let Ok(Place::Bucket(bucket)) = Place::parse(place) else { panic!("{place}") };
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        client(&bucket, &variables)
    }

    #[test]
    fn each_cloud_is_told_by_its_own_variables() {
        let key = ("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg==");
        for (place, variables, shown) in [
            ("s3://lists", &[("AWS_REGION", "eu-west-1")][..], "lists"),
            ("az://lists", &[("AZURE_STORAGE_ACCOUNT_NAME", "acme"), key], "acme"),
            ("az://lists", &[("AZURE_STORAGE_USE_EMULATOR", "true")], "devstoreaccount1"),
            (
                "gs://lists",
                &[(
                    "GOOGLE_SERVICE_ACCOUNT_KEY",
                    "{\"disable_oauth\":true,\"client_email\":\"\",\"private_key\":\"\",\"private_key_id\":\"\"}",
                )],
                "lists",
            ),
        ] {
            let client = connect(place, variables).unwrap().to_string();
            assert!(client.contains(shown), "{place}: {client}");
        }
    }

    #[test]
    fn variables_that_cannot_be_used_are_told_without_their_values() {
        for (place, variables) in [
            ("s3://lists", &[("AWS_ACCESS_KEY_ID", "hunter2")][..]),
            ("s3://lists", &[("AWS_ALLOW_HTTP", "hunter2")]),
            ("az://lists", &[("AZURE_STORAGE_ACCOUNT_KEY", "hunter2")]),
            (
                "az://lists",
                &[("AZURE_STORAGE_ACCOUNT_NAME", "acme"), ("AZURE_STORAGE_ACCOUNT_KEY", "hunter2!")],
            ),
            ("gs://lists", &[("GOOGLE_SERVICE_ACCOUNT_KEY", "\"hunter2\"")]),
            ("gs://lists", &[("SERVICE_ACCOUNT", "/no/hunter2")]),
        ] {
            let refused = connect(place, variables).unwrap_err();
            let text = format!("{refused:?} {refused}");
            assert!(matches!(refused, StoreError::Address { .. }) && !text.contains("hunter2"), "{text}");
        }
    }
}
