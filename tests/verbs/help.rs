//! Help, version, completions, and what is said of what nobody understands.

use manifest_testkit::Ran;

use crate::in_process::Cli;

const VERBS: &[&str] = &[
    "create",
    "add",
    "annotate",
    "remove",
    "inspect",
    "check",
    "diff",
    "push",
    "attest",
    "publications",
    "registry",
    "ls",
    "exists",
    "rm",
    "tag",
    "untag",
    "rename",
    "cp",
    "hold",
    "release",
    "history",
    "undo",
    "prune",
    "login",
    "logout",
    "key",
    "version",
    "completions",
];

#[test]
fn every_verb_has_help_with_an_example() {
    let cli = Cli::new();
    for verb in VERBS {
        for flag in ["--help", "-h"] {
            let ran = cli.run(&format!("{verb} {flag}"));
            let help = ran.ok();
            assert!(help.contains("Example") && help.contains(&format!("  manifest {verb} ")), "{help}");
            assert!(help.contains(&format!("Usage: manifest {verb}")), "{help}");
            assert_eq!(ran.stderr, "");
        }
    }
}

#[test]
fn the_help_names_every_verb_and_exit_code() {
    let help = Cli::new().ok("--help");
    for verb in VERBS {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb}:\n{help}");
    }
    for code in
        ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "8 ", "9 ", "10 ", "11 ", "12 ", "70 ", "130", "143"]
    {
        let codes = help.split_once("Exit codes:").unwrap().1;
        assert!(codes.contains(code), "{code}:\n{codes}");
    }
}

#[test]
fn no_arguments_are_misuse_that_shows_the_help() {
    let cli = Cli::new();
    let ran = cli.run("");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: manifest"), "{ran:?}");
}

#[test]
fn typing_errors_are_met_with_a_suggestion() {
    let cli = Cli::new();
    for (line, part) in [
        ("crate app", "'create'"),
        ("annotat app", "'annotate'"),
        ("create app --anotation a=b", "'--annotation'"),
        ("inspect app --ouptut json", "'--output'"),
        ("create app --if-exists ammend", "'amend'"),
    ] {
        cli.fails(2, line).says("misuse", &[part]);
    }
    cli.fails(2, "ls too many").says("misuse", &["too"]);
}

#[test]
fn the_version_is_told() {
    let cli = Cli::new();
    let version = format!("manifest {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(cli.ok("version"), version);
    assert_eq!(cli.json("version")["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn bash_accepts_its_completions() {
    let cli = Cli::new();
    let script = cli.workspace.write("completions.bash", cli.ok("completions bash"));
    let mut check = cli.workspace.command("bash");
    check.arg("-n").arg(&script);
    assert_eq!(Ran::of(&mut check).ok(), "");
    let mut complete = cli.workspace.command("bash");
    complete.arg("-c").arg(format!(
        ". {}; COMP_WORDS=(manifest ann); COMP_CWORD=1; _manifest manifest ann manifest; echo ${{COMPREPLY[@]}}",
        script.display()
    ));
    assert_eq!(Ran::of(&mut complete).ok(), "annotate\n");
}

#[test]
fn each_shell_has_completions() {
    let cli = Cli::new();
    for (shell, part) in [
        ("bash", "complete -F _manifest"),
        ("zsh", "#compdef manifest"),
        ("fish", "complete -c manifest"),
        ("elvish", "edit:completion:arg-completer[manifest]"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = cli.ok(&format!("completions {shell}"));
        assert!(script.contains(part), "{shell}");
        assert!(script.contains("annotate") && script.contains("allow-duplicate"), "{shell}");
    }
    cli.fails(2, "completions tcsh").says("misuse", &["tcsh", "bash"]);
}
