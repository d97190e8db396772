//! The files in `docs/` are those that the code makes.

use std::{collections::BTreeSet, fs, path::Path};

fn docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

#[test]
fn the_reference_is_what_the_code_makes() {
    for (name, text) in reference::files() {
        let file = fs::read_to_string(docs().join(&name)).unwrap_or_default();
        assert!(file == text, "docs/{name} is not current: make reference");
    }
}

#[test]
fn no_schema_is_left_of_an_event_that_is_gone() {
    let made: BTreeSet<_> = reference::files()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for file in fs::read_dir(docs().join("schemas"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = format!("schemas/{}", file.file_name().to_string_lossy());
        assert!(made.contains(&name), "docs/{name}: no event has it");
    }
}
