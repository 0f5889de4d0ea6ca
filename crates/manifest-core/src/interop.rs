//! To and from the index type of the `oci-spec` crate, for those who use both.

use oci_spec::image::ImageIndex;

use crate::{DecodeError, EncodeError, Format, List};

/// Why a list cannot become the index of another crate, or the reverse.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InteropError {
    /// The list cannot be written as an OCI image index.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The index is not one that is read here.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The other crate cannot read or write the document.
    #[error("oci-spec cannot handle this index")]
    Foreign(#[source] oci_spec::OciSpecError),
    /// Something in the list would not survive, such as os.version of a Windows platform.
    #[error("oci-spec's ImageIndex would lose part of this list")]
    Lossy,
}

impl TryFrom<&List> for ImageIndex {
    type Error = InteropError;

    fn try_from(list: &List) -> Result<Self, InteropError> {
        let bytes = list.encode(Format::Oci)?.bytes;
        let index = Self::from_reader(bytes.as_slice()).map_err(InteropError::Foreign)?;
        if List::try_from(&index)? == *list { Ok(index) } else { Err(InteropError::Lossy) }
    }
}

impl TryFrom<&ImageIndex> for List {
    type Error = InteropError;

    fn try_from(index: &ImageIndex) -> Result<Self, InteropError> {
        let text = index.to_string().map_err(InteropError::Foreign)?;
        Ok(Self::decode(text.as_bytes())?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(platform: &str) -> List {
        let digest = crate::Digest::sha256(b"");
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
               {{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":3,"platform":{platform}}}],
               "annotations":{{"b":"2","a":"1"}}}}"#
        );
        List::decode(text.as_bytes()).unwrap().0
    }

    #[test]
    fn a_list_survives_the_other_crate_or_is_refused() {
        let plain = list(r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#);
        let index = ImageIndex::try_from(&plain).unwrap();
        assert_eq!(List::try_from(&index).unwrap(), plain);
        for lost in [
            r#"{"architecture":"amd64","os":"windows","os.version":"10.0.20348.1"}"#,
            r#"{"architecture":"amd64","os":"linux","unknown":1}"#,
        ] {
            assert!(matches!(ImageIndex::try_from(&list(lost)), Err(InteropError::Lossy)), "{lost}");
        }
    }
}
