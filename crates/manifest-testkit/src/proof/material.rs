//! Images to make lists of.

use std::path::Path;

use crate::Image;

/// The images of one writer, in a layout of their own: nobody else adds them to a list.
#[derive(Clone, Debug)]
pub(super) struct Material(Vec<Piece>);

/// An image: how it is named on the command line, and its digest.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) argument: String,
    pub(super) digest: String,
}

impl Material {
    /// Writes `count` images, each for a platform of its own.
    pub(super) fn write(dir: &Path, writer: &str, count: usize) -> Self {
        let layout = dir.join(format!("images-{writer}"));
        let piece = |at| {
            let digest = Image::new(&format!("linux/{writer}i{at}")).write_layout(&layout, &format!("v{at}"));
            Piece { argument: format!("oci:{}:v{at}", layout.display()), digest: digest.to_string() }
        };
        Self((0..count).map(piece).collect())
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    pub(super) fn has(&self, digest: &str) -> bool {
        self.0.iter().any(|piece| piece.digest == digest)
    }
}
