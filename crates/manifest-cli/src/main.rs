//! The `manifest` program.

fn main() {}
