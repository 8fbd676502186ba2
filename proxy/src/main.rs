//! Arguments in, exit code out.

fn main() -> std::process::ExitCode {
    tamis::cli::main()
}
