//! The command line of manifest.
