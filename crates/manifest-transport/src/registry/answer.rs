//! What registries say when they refuse.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Error>,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    detail: Option<Value>,
}

/// The characters of a message that are shown at most.
const MAX_MESSAGE: usize = 300;

/// Code and message of the first error in a body; the start of the body when it is not in the usual form.
///
/// `oci-spec` has a type for this too, but it knows only the codes of the spec, and registries invent more.
///
/// Spec: OCI distribution-spec v1.1.1, "Error Codes".
pub(crate) fn error(body: &[u8]) -> (String, String) {
    let first = serde_json::from_slice::<Errors>(body).ok().and_then(|body| body.errors.into_iter().next());
    let Some(error) = first else {
        let text = String::from_utf8_lossy(body);
        let markup = text.trim_start().starts_with('<');
        return (String::new(), if markup { String::new() } else { tidy(&text) });
    };
    let detail = error.detail.as_ref().and_then(|detail| match detail {
        Value::String(text) => Some(text.clone()),
        Value::Object(members) => members.values().find_map(Value::as_str).map(str::to_owned),
        _ => None,
    });
    let mut message = error.message.unwrap_or_default();
    if let Some(detail) = detail.filter(|detail| !detail.is_empty() && !message.contains(detail.as_str())) {
        let separator = if message.is_empty() { "" } else { ": " };
        message = format!("{message}{separator}{detail}");
    }
    (tidy(&error.code.unwrap_or_default()), tidy(&message))
}

/// One line without control characters, of bearable length.
fn tidy(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    spaced.take(MAX_MESSAGE).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::error;

    #[test]
    fn the_first_error_is_told_in_any_form() {
        for (body, code, message) in [
            (r#"{"errors":[{"code":"DENIED","message":"no"}]}"#, "DENIED", "no"),
            (
                r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown","detail":{"digest":"sha256:1"}}]}"#,
                "MANIFEST_BLOB_UNKNOWN",
                "blob unknown: sha256:1",
            ),
            (r#"{"errors":[{"code":"NEW_CODE"}]}"#, "NEW_CODE", ""),
            (r#"{"errors":[]}"#, "", r#"{"errors":[]}"#),
            ("Too many\nrequests\u{1b}[31m", "", "Too many requests [31m"),
            ("<html>login</html>", "", ""),
            ("", "", ""),
        ] {
            assert_eq!(error(body.as_bytes()), (code.to_owned(), message.to_owned()));
        }
        assert_eq!(error(&[b'a'; 10_000]).1.len(), 300);
    }
}
