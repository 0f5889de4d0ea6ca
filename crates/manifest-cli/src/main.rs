//! The `manifest` program.

fn main() -> std::process::ExitCode {
    manifest_cli::main()
}
