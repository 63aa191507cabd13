//! Arguments to one command, nothing else.

fn main() -> std::process::ExitCode {
    sandpool::cli::main()
}
