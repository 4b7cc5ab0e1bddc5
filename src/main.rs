//! The `ottla` command: reads the command line, owns the runtime, returns the exit code.

use ottla::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads and an epoll instance can be had at start-up");
    let code = runtime.block_on(Box::pin(cli.run()));
    // A read of standard input may still block a thread; there is nothing to wait for in it.
    runtime.shutdown_background();
    code
}
