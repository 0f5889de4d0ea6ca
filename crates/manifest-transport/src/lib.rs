//! See the workspace's architecture document.
