//! The names under which platforms are compared.

use super::Platform;

impl Platform {
    /// This platform under the names that are compared.
    ///
    /// Case is folded, aliases of OS and architecture are replaced, a variant that is the default of its
    /// architecture is dropped (amd64 `v1`, arm64 `v8`) or written out (arm `v7`), OS features are sorted
    /// and stand once. Nothing is put in place of an empty OS; the OS version stays as it is.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let variant = self.variant.as_deref().unwrap_or_default();
        let (architecture, variant) = machine(&self.architecture, variant);
        let mut os_features = self.os_features.clone();
        os_features.retain(|feature| !feature.is_empty());
        os_features.sort();
        os_features.dedup();
        Self { os: os(&self.os), architecture, variant, os_features, ..self.clone() }
    }
}

/// The normal name of an operating system.
pub(super) fn os(name: &str) -> String {
    match name.to_ascii_lowercase() {
        name if name == "macos" => "darwin".to_owned(),
        name => name,
    }
}

/// The normal names of an architecture and its variant.
pub(super) fn machine(architecture: &str, variant: &str) -> (String, Option<String>) {
    let architecture = architecture.to_ascii_lowercase();
    let variant = variant.to_ascii_lowercase();
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", other) => ("amd64", other),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", other) => ("arm64", other),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        others => others,
    };
    (architecture.to_owned(), (!variant.is_empty()).then(|| variant.to_owned()))
}
