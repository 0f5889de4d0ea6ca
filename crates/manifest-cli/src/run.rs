//! From arguments to an exit code.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command};
use crate::commands;
use crate::context::Context;
use crate::environment::Environment;
use crate::error::CliError;
use crate::interruption::Interruptions;
use crate::secrecy::no_core_dumps;
use crate::ui::{Stream, Ui, Volume, json_line};

/// What helps after a push that was interrupted.
const CUT_OFF: &str = "manifest push --resume goes on with it, manifest push --abort takes it back; manifest publications shows it";
/// The exit code of what should never happen.
const BUG: u8 = 70;
/// How long unfinished file work may go on after the command has ended; a commit takes a few milliseconds.
const LEAVE: Duration = Duration::from_millis(800);

/// Runs the program as its process: arguments, environment and streams are those of the process.
#[must_use]
pub fn main() -> ExitCode {
    bugs_end_the_program();
    let (out, err) = (Box::new(std::io::stdout()), Box::new(std::io::stderr()));
    let environment = Environment::of_process();
    no_core_dumps();
    ExitCode::from(run(std::env::args_os(), environment, out, err))
}

/// A panic, in whatever thread, is told on standard error and ends the program with the exit code of a bug: it must never
/// look like a success, nor be taken for a fault of a connection that one may try again. The journal and the commits of
/// the store are made for an end at any moment.
fn bugs_end_the_program() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::exit(BUG.into());
    }));
}

/// Runs the program and returns its exit code; the first argument is the program's name.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&with_all_verbs(error, &arguments), &arguments, out, err),
    };
    let global = cli.global.clone();
    let volume = match (global.quiet, global.verbose) {
        (true, _) => Volume::Quiet,
        (_, true) => Volume::Verbose,
        _ => Volume::Normal,
    };
    let ui = Ui::new((out, err), global.output, cli.command.progress(), volume, environment.terminal);
    let context = Context::new(environment, ui.clone(), global, &arguments);
    let outcome = match cli.command {
        // These two need neither runtime nor store, and are asked often.
        Command::Version(verb) => verb.run(&context),
        Command::Completions(verb) => verb.run(&context, Cli::command()),
        command => in_runtime(command, &context),
    };
    match outcome {
        Ok(code) => code,
        Err(CliError::ClosedPipe) => 0,
        Err(error) => {
            ui.error(&error);
            error.exit()
        }
    }
}

/// The same error or help by a command line that knows what each verb is about and takes.
fn with_all_verbs(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let mut whole = Cli::command();
    whole.build();
    whole.try_get_matches_from(arguments).err().unwrap_or(error)
}

/// Tells what is wrong with the arguments, or prints the help that was asked for.
fn usage(error: &clap::Error, arguments: &[OsString], mut out: Stream, mut err: Stream) -> u8 {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let json = arguments.iter().any(|a| a == "--output=json" || a == "--progress=json")
        || arguments
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if (a == "--output" || a == "--progress") && b == "json"));
    if asked {
        let to = if error.use_stderr() { &mut err } else { &mut out };
        // Who asked for help and closed the pipe has read enough.
        drop(write!(to, "{}", error.render()));
        return if error.use_stderr() { 2 } else { 0 };
    }
    if json {
        let text = error.render().to_string();
        // What is missing or possible stands on the lines after the first, up to an empty one.
        let words = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>();
        let message = words.join(" ").trim_start_matches("error: ").to_owned();
        let misuse = CliError::Misuse(message, "manifest VERB --help shows what a verb takes").object();
        drop(writeln!(err, "{}", json_line(&misuse)));
    } else {
        drop(write!(err, "{}", error.render()));
    }
    2
}

fn in_runtime(command: Command, context: &Context) -> Result<u8, CliError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Start)?;
    let is_push = matches!(command, Command::Push(_));
    let outcome = runtime.block_on(async {
        outlive_file_size_limits();
        let mut interruptions = Interruptions::watch();
        match command {
            // It has something to clean up.
            Command::Registry(verb) => Box::pin(verb.run(context, &mut interruptions)).await,
            // What verbs do is large, and stacks are small.
            command => interruptions.end(Box::pin(run_verb(command, context))).await,
        }
    });
    if matches!(outcome, Err(CliError::Interrupted(_))) {
        runtime.shutdown_timeout(LEAVE);
    } else {
        runtime.shutdown_background();
    }
    let advised = |error: CliError| error.advise("interrupted", CUT_OFF).advise("terminated", CUT_OFF);
    if is_push { outcome.map_err(advised) } else { outcome }
}

async fn run_verb(command: Command, context: &Context) -> Result<u8, CliError> {
    match command {
        Command::Create(verb) => verb.run(context).await,
        Command::Add(verb) => verb.run(context).await,
        Command::Annotate(verb) => verb.run(context).await,
        Command::Remove(verb) => verb.run(context).await,
        Command::Inspect(verb) => verb.run(context).await,
        Command::Check(verb) => verb.run(context).await,
        Command::Diff(verb) => verb.run(context).await,
        Command::Sign(verb) => verb.run(context).await,
        Command::Verify(verb) => Box::pin(verb.run(context)).await,
        Command::Signatures(verb) => Box::pin(verb.run(context)).await,
        Command::Attest(verb) => verb.run(context).await,
        Command::Push(verb) => Box::pin(verb.run(context)).await,
        Command::Publications(verb) => verb.run(context).await,
        Command::Registry(verb) => Box::pin(verb.run(context, &mut Interruptions::watch())).await,
        Command::Export(verb) => verb.run(context).await,
        Command::Import(verb) => verb.run(context).await,
        Command::Ls(verb) => verb.run(context).await,
        Command::Exists(verb) => verb.run(context).await,
        Command::Refresh(verb) => verb.run(context).await,
        Command::Cache(verb) => verb.run(context).await,
        Command::Rm(verb) => verb.run(context).await,
        Command::Tag(verb) => verb.run(context).await,
        Command::Untag(verb) => verb.run(context).await,
        Command::Cp(verb) => verb.run(context).await,
        Command::Rename(verb) => verb.run(context).await,
        Command::Hold(verb) => verb.run(context).await,
        Command::Release(verb) => verb.run(context).await,
        Command::History(verb) => verb.run(context).await,
        Command::Undo(verb) => verb.run(context).await,
        Command::Prune(verb) => verb.run(context).await,
        Command::Gc(verb) => verb.run(context).await,
        Command::Fsck(verb) => verb.run(context).await,
        Command::Df(verb) => verb.run(context).await,
        Command::Blob(verb) => verb.run(context).await,
        Command::Login(verb) => verb.run(context).await,
        Command::Logout(verb) => verb.run(context).await,
        Command::Key(verb) => verb.run(context).await,
        Command::Version(verb) => commands::version::Version::run(&verb, context),
        Command::Completions(verb) => verb.run(context, Cli::command()),
    }
}

/// Makes a write beyond the limit on file sizes fail, where the system would end the process without a word.
fn outlive_file_size_limits() {
    #[cfg(target_os = "linux")]
    {
        use tokio::signal::unix::{SignalKind, signal};
        const SIGXFSZ: i32 = 25;
        // Once it is watched for it is never fatal again. Who cannot watch ends as before.
        drop(signal(SignalKind::from_raw(SIGXFSZ)));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Ends the process that it runs in, which is the one that the next test starts.
    #[test]
    #[ignore = "it ends its process"]
    fn with_a_bug() {
        bugs_end_the_program();
        let there = std::thread::spawn(|| panic!("what should never happen"));
        drop(there.join());
        std::process::exit(0);
    }

    /// SEC-74.
    #[test]
    fn a_bug_in_any_thread_ends_the_program_with_its_exit_code() {
        let program = std::env::current_exe().unwrap();
        let ended = Command::new(program)
            .args(["--ignored", "--exact", "--nocapture", "run::tests::with_a_bug"])
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(BUG.into()));
        let told = String::from_utf8(ended.stderr).unwrap();
        assert!(told.contains("what should never happen"), "{told}");
    }
}
