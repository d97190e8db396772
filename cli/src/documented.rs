//! The commands in README.md and docs/ are commands that there are.

use std::{fs, path::Path};

use clap::Parser;

use crate::args::Cli;

const DOCUMENTS: [&str; 4] = [
    "README.md",
    "docs/OPERATIONS.md",
    "docs/EVENTBRIDGE.md",
    "docs/PUBLISHING.md",
];

/// How a command begins, when it is run from the sources or from where it is installed.
const BEGINNINGS: [&str; 3] = ["cargo run -- ", "cargo run -q -- ", "\nacademy-hooks "];

/// What a shell puts in the place of others, and an example of it.
const SUBSTITUTED: [(&str, &str); 2] = [
    (r#""$(make -s docker-gateway)""#, "172.17.0.1"),
    ("$ERROR", "12"),
];

/// The arguments of every command in a document, up to what a shell would end them at.
fn commands(document: &str) -> Vec<Vec<String>> {
    let rests = BEGINNINGS.map(|beginning| document.split(beginning).skip(1));
    let lines = rests.into_iter().flatten().map(|rest| {
        let end = rest.find(['\n', '`', ')', '|']).unwrap_or(rest.len());
        &rest[..end]
    });
    lines
        .map(|line| shlex::split(line).expect("words of a shell"))
        .collect()
}

#[test]
fn every_documented_command_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).expect("a document");
        let substitute = |text: String, (from, to): (&str, &str)| text.replace(from, to);
        let text = SUBSTITUTED.into_iter().fold(text, substitute);
        let commands = commands(&text);
        assert!(!commands.is_empty(), "{document}");
        for arguments in commands {
            let command = [&["academy-hooks".to_owned()], &arguments[..]].concat();
            let read = Cli::try_parse_from(&command);
            assert!(read.is_ok(), "{document}: {command:?}: {:?}", read.err());
        }
    }
}
