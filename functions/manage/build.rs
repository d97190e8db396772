//! Embeds `docs/openapi.json` without its indentation: a package's size is time of each cold start.

use std::{env, fs, io, path::Path};

/// The document as `docs/` holds it, for readers.
const DOCUMENT: &str = "../../docs/openapi.json";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let document = fs::read_to_string(DOCUMENT)?;
    // No string of JSON spans lines.
    let embedded: String = document.lines().map(str::trim_start).collect();
    let directory = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&directory).join("openapi.json"), embedded)
}
