use std::process::ExitCode;

use mimalloc::MiMalloc;
use peft_bench::host::memory::Counting;

#[global_allocator]
static ALLOCATOR: Counting<MiMalloc> = Counting(MiMalloc);

fn main() -> ExitCode {
    peft_bench::cli::main()
}
