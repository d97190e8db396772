//! Writes the reference into `docs/`.

use std::{fs, path::Path};

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for (name, text) in reference::files() {
        let file = docs.join(&name);
        let folder = file.parent().context("a file has no folder")?;
        fs::create_dir_all(folder)?;
        fs::write(&file, text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}
