//! The commands of a document: what stands in its fenced and its indented blocks.

/// A block that a reader would take to a shell, or save as a file.
pub(crate) struct Block {
    /// Its first line in the document, from 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Commands(Vec<Command>),
    /// A fence whose info string has the name of a file after the language: `python publish.py`.
    File {
        name: String,
        text: String,
    },
}

#[derive(Debug, PartialEq)]
pub(crate) struct Command {
    pub(crate) text: String,
    /// What the document shows as its output; empty if it shows none.
    pub(crate) shown: String,
}

/// Blocks of `sh`, `bash` and `console`, indented blocks, and files, in order.
pub(crate) fn blocks(document: &str) -> Vec<Block> {
    let lines: Vec<&str> = document.lines().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let start = at + 1;
        if let Some(info) = lines[at].trim_start().strip_prefix("```") {
            let end = (start..lines.len()).find(|&n| lines[n].trim() == "```").expect("a fence has an end");
            let body = &lines[start..end];
            let (language, name) = info.split_once(' ').unwrap_or((info, ""));
            let kind = match language {
                "console" => Some(Kind::Commands(console(body))),
                "sh" | "bash" => Some(Kind::Commands(script(body))),
                _ if !name.is_empty() => {
                    Some(Kind::File { name: name.to_owned(), text: format!("{}\n", body.join("\n")) })
                }
                _ => None,
            };
            found.extend(kind.map(|kind| Block { line: start + 1, kind }));
            at = end + 1;
        } else if lines[at].starts_with("    ") && (at == 0 || lines[at - 1].is_empty()) {
            let end = (at..lines.len()).find(|&n| !lines[n].starts_with("    ")).unwrap_or(lines.len());
            let body: Vec<&str> = lines[at..end].iter().map(|line| &line[4..]).collect();
            found.push(Block { line: start, kind: Kind::Commands(script(&body)) });
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

/// `$ ` begins a command; the lines after it are its output.
fn console(lines: &[&str]) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        if let Some(first) = line.strip_prefix("$ ") {
            commands.push(Command { text: whole(first, &mut lines), shown: String::new() });
        } else {
            let last = commands.last_mut().expect("a console block begins with a command");
            last.shown.push_str(line);
            last.shown.push('\n');
        }
    }
    commands
}

/// Each line is a command, but for comments and empty lines.
fn script(lines: &[&str]) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        if !line.is_empty() && !line.starts_with('#') {
            commands.push(Command { text: whole(line, &mut lines), shown: String::new() });
        }
    }
    commands
}

/// A command and the lines that continue it.
fn whole<'a>(first: &str, rest: &mut impl Iterator<Item = &'a &'a str>) -> String {
    let mut text = first.to_owned();
    while is_open(&text)
        && let Some(line) = rest.next()
    {
        text.push('\n');
        text.push_str(line);
    }
    text
}

/// Ends within quotes, at a backslash or at a pipe.
fn is_open(text: &str) -> bool {
    let mut quote = None;
    let mut before = ' ';
    let mut code = String::new();
    for c in text.chars() {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == '#' && before.is_whitespace() => break,
            _ => {}
        }
        code.push(c);
        before = c;
    }
    quote.is_some() || code.trim_end_matches(' ').ends_with(['\\', '|'])
}
