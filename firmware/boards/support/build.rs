//! Lets the memory maps of boards include those of this folder.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    println!("cargo::rustc-link-search={here}");
    println!("cargo::rerun-if-changed=board.x");
    println!("cargo::rerun-if-changed=riscv.x");
}
