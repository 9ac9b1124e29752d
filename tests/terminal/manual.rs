//! `gapless man`: pages that man can read, with every command and every option.

use std::{fs, path::Path, process::Command};

use super::process::{gapless, output, text};

/// A page as a reader sees it, on lines of 80 columns.
fn rendered(page: &Path) -> String {
    let found = Command::new("mandoc").args(["-Tutf8", "-Owidth=80"]).arg(page).output();
    let shown = found.expect("mandoc, which tests/install.sh installs").stdout;
    // Bold is a character, a backspace, and the character again.
    let mut plain = Vec::new();
    for c in text(&shown).chars() {
        if c == '\u{8}' {
            plain.pop();
        } else {
            plain.push(c);
        }
    }
    plain.into_iter().collect()
}

#[test]
fn there_is_a_page_for_each_command_and_mandoc_finds_no_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("man1");
    let made = output(&mut gapless(&["man", "--to", &to.display().to_string()]));
    assert_eq!((made.status.code(), &*text(&made.stdout), &*text(&made.stderr)), (Some(0), "", ""));
    let mut pages: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() >= 10, "{pages:?}");
    for page in &pages {
        let lint = Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(page).output().unwrap();
        // A page has no date, so that every build makes the same one.
        let problems: Vec<_> =
            text(&lint.stdout).lines().filter(|line| !line.contains("missing date")).map(str::to_owned).collect();
        assert!(problems.is_empty(), "{}: {problems:?}", page.display());
        let help = page.file_stem().unwrap().to_str().unwrap().trim_start_matches("gapless").trim_start_matches('-');
        let args: Vec<&str> = [help, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let help = text(&output(&mut gapless(&args)).stdout);
        let shown = rendered(page);
        let is_listed = shown.contains("gapless-serve(1) lists them");
        let options =
            help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split([' ', '[', '=']).next());
        for option in options.filter(|_| !is_listed) {
            assert!(shown.contains(&format!("--{option}")), "{}: --{option} is missing", page.display());
        }
    }
    let serve = rendered(&to.join("gapless-serve.1"));
    assert!(serve.matches("\n       --").count() > 80 && serve.contains("\nRETENTION"), "{serve}");
    for other in ["gapless.1", "gapless-check.1", "gapless-token.1"] {
        let lines = rendered(&to.join(other)).lines().count();
        assert!(lines < 130, "{other} has {lines} lines: it repeats the settings");
    }
}

#[test]
fn a_page_goes_to_stdout_and_an_unknown_command_is_an_error() {
    let main = output(&mut gapless(&["man"]));
    assert!(main.status.success() && text(&main.stdout).contains(".TH GAPLESS 1"), "{}", text(&main.stdout));
    let one = output(&mut gapless(&["man", "check"]));
    assert!(text(&one.stdout).contains(".TH GAPLESS-CHECK 1"), "{}", text(&one.stdout));
    let none = output(&mut gapless(&["man", "brew"]));
    assert!(none.status.code() == Some(1) && text(&none.stderr).contains("publish"), "{}", text(&none.stderr));
}
