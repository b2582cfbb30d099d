//! `smidgen new-board`: what it writes builds, runs and trains before anything is changed.

use super::{assert_trains, emulation, start_at_port, text};
use crate::support::{smidgen, stderr};
use smidgen::boards::image;
use smidgen::boards::qemu::{Qemu, Told};
use std::fs;
use std::path::Path;
use std::process::Command;

const TARGET: &str = "thumbv7m-none-eabi";

/// Copies files, but neither what was built nor the history.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("there is room");
    for entry in fs::read_dir(from).expect("it is a folder") {
        let entry = entry.expect("it can be read");
        let kind = entry.file_type().expect("it has one");
        let (from, name) = (entry.path(), entry.file_name());
        if kind.is_file() {
            fs::copy(from, to.join(name)).expect("there is room");
        } else if kind.is_dir() && name != "target" && name != ".git" {
            copy(&from, &to.join(name));
        }
    }
}

#[test]
fn new_board_trains_as_it_is() {
    let Some(directory) = emulation("new_board_trains_as_it_is", &["mps2-m3"]) else { return };
    let checkout = directory.path().join("checkout");
    let top = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    copy(top, &checkout);
    let written = smidgen(directory.path(), "new-board my-board --checkout checkout");
    let said = String::from_utf8_lossy(&written.stdout);
    assert!(written.status.success(), "{}", stderr(&written));
    assert!(said.contains("emulate --board my-board=2"), "{said}");
    let again = smidgen(directory.path(), "new-board my-board --checkout checkout");
    assert_eq!(again.status.code(), Some(2));
    assert!(
        stderr(&again).contains("a board, a package or a folder my-board already"),
        "{}",
        stderr(&again)
    );

    let table = checkout.join("host/src/boards/board.rs");
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024", "--check", "--config-path"]).arg(top).arg(&table);
    let formatted = rustfmt.status().expect("rustfmt is installed");
    assert!(formatted.success(), "the row of the table is formatted");

    let mut cargo = image::cargo(TARGET).expect("it has built another board");
    let built = cargo
        .args(["build", "--locked", "--release", "--target", TARGET, "--package", "my-board"])
        .current_dir(checkout.join("firmware/boards"))
        .env("CARGO_TARGET_DIR", directory.path().join("target"))
        .output()
        .expect("cargo starts");
    assert!(built.status.success(), "{}", stderr(&built));
    let image = directory.path().join(format!("target/{TARGET}/release/my-board"));
    let told = Told { identity: "1", seed: None, channels: None };
    let options = Qemu::arm("mps2-an385").options(0x2000_FFE0, told).join(" ");
    let (address, board) = start_at_port(directory.path(), |port| {
        let line = format!("tcp:127.0.0.1:{port},server=on,wait=off");
        format!("exec qemu-system-arm {options} -serial {line} -kernel {}", text(&image))
    });
    assert_trains(directory.path(), &[address], "");
    drop(board);
}
