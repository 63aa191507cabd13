//! Arguments to one command, nothing else.

use tikv_jemallocator::Jemalloc;

/// The system's allocator keeps what large buffers took: glibc maps a block of its own only for what is larger than any
/// that was freed before, and what it does not map it rarely returns. Thirty messages of 16 MiB and the server held
/// 450 MB for good; with this one, whose threads return unused pages after a while, 17 MB. What it is built with is in
/// `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> std::process::ExitCode {
    sandpool::cli::main()
}
