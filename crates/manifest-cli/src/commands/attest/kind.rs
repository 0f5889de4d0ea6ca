//! Types of predicates, by the words that cosign has for them.

/// The URI that is meant.
pub(super) fn uri(text: &str) -> Result<String, String> {
    let uri = match text {
        "slsaprovenance" | "slsaprovenance02" => "https://slsa.dev/provenance/v0.2",
        "slsaprovenance1" => "https://slsa.dev/provenance/v1",
        "spdx" | "spdxjson" => "https://spdx.dev/Document",
        "cyclonedx" => "https://cyclonedx.org/bom",
        "vuln" => "https://cosign.sigstore.dev/attestation/vuln/v1",
        "openvex" => "https://openvex.dev/ns",
        "link" => "https://in-toto.io/Link/v1",
        "custom" => "https://cosign.sigstore.dev/attestation/v1",
        _ if text.contains(':') => text,
        _ => return Err("it is a URI, or one of the words that --help lists".to_owned()),
    };
    Ok(uri.to_owned())
}
