//! For the size of the program: packs the parts of the OpenAPI document, and links a release build without relocations.

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
    // The addresses of the program's own code and constants are fixed then, in 0.5 MB less. Those of the stack, the heap and
    // the libraries stay random.
    if env::var("CARGO_CFG_TARGET_OS")? == "linux" && env::var("OPT_LEVEL")? == "z" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
    let target = env::var("OUT_DIR")?;
    fs::write(Path::new(&target).join("openapi.json.gz"), packed.finish()?)?;
    Ok(())
}
