//! `gapless completions`: the script of bash in a real bash; the others where their shell is there.

use std::process::Command;

use super::process::{gapless, output, text};

/// What bash offers after `line`, of which the last word is being typed.
fn offered(script: &str, line: &[&str]) -> String {
    let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
    let before = line.len().checked_sub(2).map_or("", |at| line[at]);
    let run = format!(
        "source '{script}'\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_gapless gapless '{}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        line.len() - 1,
        line.last().unwrap()
    );
    let found = Command::new("bash").args(["--norc", "-c", &run]).output().unwrap();
    assert!(found.status.success() && found.stderr.is_empty(), "{}", text(&found.stderr));
    text(&found.stdout)
}

#[test]
fn a_real_bash_completes_commands_options_and_values() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gapless.bash");
    let script = output(&mut gapless(&["completions", "bash"]));
    assert_eq!(script.status.code(), Some(0));
    std::fs::write(&path, &script.stdout).unwrap();
    let script = path.display().to_string();
    assert_eq!(offered(&script, &["gapless", "pub"]), "publish\n");
    assert_eq!(offered(&script, &["gapless", "check", "--scra"]), "--scratch\n");
    assert_eq!(offered(&script, &["gapless", "publish", "--nd"]), "--ndjson\n");
    assert_eq!(offered(&script, &["gapless", "completions", "z"]), "zsh\n");
    let commands = offered(&script, &["gapless", ""]);
    for command in ["serve", "tail", "check", "completions", "man"] {
        assert!(commands.lines().any(|line| line == command), "{command} is not in {commands}");
    }
    // It is registered for the command.
    let registered = format!("source '{script}'; complete -p gapless");
    let found = Command::new("bash").args(["--norc", "-c", &registered]).output().unwrap();
    assert!(text(&found.stdout).contains("-F _gapless"), "{}", text(&found.stdout));
}

#[test]
fn every_shell_has_a_script_and_another_one_is_refused() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = output(&mut gapless(&["completions", shell]));
        assert_eq!((script.status.code(), &*text(&script.stderr)), (Some(0), ""), "{shell}");
        assert!(text(&script.stdout).contains("completions") && script.stdout.len() > 5000, "{shell}");
    }
    let wrong = output(&mut gapless(&["completions", "tcsh"]));
    assert!(wrong.status.code() == Some(2) && text(&wrong.stderr).contains("powershell"), "{}", text(&wrong.stderr));
}
