//! Packs the parts of the OpenAPI document, so that the program has them in a tenth of their size.

use flate2::{Compression, write::GzEncoder};
use std::{env, error::Error, fs, io::Write, path::Path};

const PARTS: &str = "src/http/openapi";

/// Writes `openapi.json.gz`: a JSON array of all parts.
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PARTS}");
    let files = fs::read_dir(PARTS)?.map(|entry| Ok(entry?.path()));
    let mut files = files.collect::<Result<Vec<_>, std::io::Error>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let parts = files.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    write!(packed, "[{}]", parts.join(","))?;
    let target = env::var("OUT_DIR")?;
    fs::write(Path::new(&target).join("openapi.json.gz"), packed.finish()?)?;
    Ok(())
}
