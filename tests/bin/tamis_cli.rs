//! The command line of the proxy, as a binary that `cargo test` builds for the scenarios.

fn main() -> std::process::ExitCode {
    tamis::cli::main()
}
