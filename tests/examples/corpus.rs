//! Writes the seed inputs of the fuzz targets, golden vectors included, to `fuzz/corpus/TARGET/`.

use smidgen_tests::fuzz::TARGETS;
use std::path::Path;
use std::{fs, io};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus");

fn main() -> io::Result<()> {
    for target in TARGETS {
        let folder = Path::new(CORPUS).join(target.name);
        fs::create_dir_all(&folder)?;
        for (n, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{n}")), seed)?;
        }
    }
    Ok(())
}
