//! Generates the client as `openapi-to-rust generate DESCRIPTION --output-dir DIR` does, whose build takes
//! twice as long. It is an error when something has no type that should have one.
//!
//! usage: generate DESCRIPTION DIR

use std::{env, error::Error, fs};

use openapi_to_rust::{CodeGenerator, GeneratorConfig, SchemaAnalyzer};

/// What may be any JSON.
const ANY: [&str; 5] = [
    "Free",
    "JsonSchema.<additionalProperties>",
    "OpenApiDocument.<additionalProperties>",
    "Payload.<additionalProperties>",
    "Record.<additionalProperties>",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(description), Some(output_dir)) = (arguments.next(), arguments.next()) else {
        return Err("usage: generate DESCRIPTION DIR".into());
    };
    let description = serde_json::from_str(&fs::read_to_string(description)?)?;
    let mut analysis = SchemaAnalyzer::new(description)?.analyze()?;
    let untyped = analysis.untyped_fields().into_iter();
    let untyped: Vec<_> = untyped.map(|found| found.context).collect();
    if untyped != ANY {
        return Err(format!("these are of no type: {untyped:?}").into());
    }
    let generator = CodeGenerator::new(GeneratorConfig {
        output_dir: output_dir.into(),
        module_name: "api".to_owned(),
        enable_sse_client: false,
        tracing_enabled: false,
        ..GeneratorConfig::default()
    });
    let generated = generator.generate_all(&mut analysis)?;
    generator.write_files(&generated)?;
    Ok(())
}
