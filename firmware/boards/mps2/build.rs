//! Selects the memory map of the target's core, for linker and program.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    let target = std::env::var("TARGET").expect("set by cargo");
    let map = if target.starts_with("thumbv8m") { "an505" } else { "an385" };
    println!("cargo::rustc-check-cfg=cfg(an505)");
    if map == "an505" {
        println!("cargo::rustc-cfg=an505");
    }
    println!("cargo::rustc-link-search={here}/{map}");
    println!("cargo::rerun-if-changed={map}/memory.x");
    // Relocations say which words are pointers, for the test of the stack; nothing of them is flashed.
    for argument in ["--nmagic", "-Tlink.x", "--emit-relocs"] {
        println!("cargo::rustc-link-arg-bins={argument}");
        println!("cargo::rustc-link-arg-examples={argument}");
    }
    if std::env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }
}
