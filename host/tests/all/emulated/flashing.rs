//! `smidgen flash`: what it runs and copies. No board is connected here, so the program for probes is a script that
//! notes its arguments.

use super::emulation;
use crate::support::{command, script, smidgen, stderr};
use std::fs;
use std::path::Path;

/// `smidgen flash` with a path on which `probe-rs` is this script.
fn flash(directory: &Path, arguments: &str, probe: &str) -> std::process::Output {
    let programs = directory.join("programs");
    fs::create_dir_all(&programs).expect("there is room");
    script(&programs.join("probe-rs"), probe);
    let path = std::env::var("PATH").expect("there is one");
    let mut command = command(directory, &format!("flash {arguments}"));
    command.env("PATH", format!("{}:{path}", programs.display()));
    command.output().expect("the binary starts")
}

#[test]
fn probe_gets_the_image_of_the_board() {
    let test = "probe_gets_the_image_of_the_board";
    let Some(directory) = emulation(test, &["stm32f405"]) else { return };
    let directory = directory.path();
    let done = flash(
        directory,
        "--board stm32f405",
        "echo \"$*\" >>noted; test -s \"$4\" || test $1 = reset",
    );
    assert!(done.status.success(), "{}", stderr(&done));
    let noted = fs::read_to_string(directory.join("noted")).expect("it was run");
    let lines: Vec<_> = noted.lines().collect();
    let [download, reset] = lines[..] else { panic!("{noted}") };
    let image = download.strip_prefix("download --chip STM32F405RGTx ").expect("it downloads");
    assert!(image.ends_with("/release/stm32f405"), "{image}");
    assert_eq!(reset, "reset --chip STM32F405RGTx");

    let of_two = flash(directory, "--board stm32f405 --probe 1:2:a", "echo \"$*\" >>of_two");
    assert!(of_two.status.success(), "{}", stderr(&of_two));
    let noted = fs::read_to_string(directory.join("of_two")).expect("it was run");
    let chosen = "--chip STM32F405RGTx --probe 1:2:a";
    assert!(noted.starts_with(&format!("download {chosen} /")), "{noted}");
    assert!(noted.ends_with(&format!("reset {chosen}\n")), "{noted}");

    let failed = flash(directory, "--board stm32f405", "echo no probe was found >&2; exit 7");
    let said = stderr(&failed);
    assert_eq!(failed.status.code(), Some(2), "{said}");
    assert!(
        said.contains("no probe was found") && said.contains("ended with exit status: 7"),
        "{said}"
    );
}

#[test]
fn drive_gets_the_hex_file_with_the_key() {
    let test = "drive_gets_the_hex_file_with_the_key";
    let Some(directory) = emulation(test, &["microbit"]) else { return };
    let directory = directory.path();
    fs::create_dir(directory.join("drive")).expect("there is room");
    assert!(smidgen(directory, "key fleet.key").status.success());
    let done = smidgen(directory, "flash --board microbit --drive drive --key fleet.key");
    assert!(done.status.success(), "{}", stderr(&done));
    let keyed =
        fs::read_to_string(directory.join("drive/microbit-keyed.hex")).expect("it is there");
    assert!(keyed.trim_end().ends_with(":00000001FF"), "it has its end");
    let plain = smidgen(directory, "flash --board microbit --drive drive");
    assert!(plain.status.success(), "{}", stderr(&plain));
    let plain = fs::read_to_string(directory.join("drive/microbit.hex")).expect("it is there");
    assert!(plain != keyed && plain.len() == keyed.len(), "they differ in the key");
}

#[test]
fn refusals_say_what_to_do() {
    let directory = tempfile::tempdir().expect("there is room");
    for (arguments, reason) in [
        ("--board mps2-m3", "run `smidgen emulate --board mps2-m3`"),
        ("--board stm32f405 --drive .", "leave `--drive` out"),
        ("--board microbit --drive none", "none is not a folder"),
        ("--board microbit --drive . --probe 1:2", "cannot be used with '--probe"),
        ("--board esp32-c3 --probe 1:2", "not flashed by a debug probe: leave `--probe` out"),
        ("--board stm32f405 --port COM3", "by espflash: leave `--port` out"),
    ] {
        let refused = smidgen(directory.path(), &format!("flash {arguments}"));
        assert_eq!(refused.status.code(), Some(2), "{arguments}");
        assert!(stderr(&refused).contains(reason), "{arguments}: {}", stderr(&refused));
    }
    let mut without_programs = command(directory.path(), "flash --board stm32f405");
    let output = without_programs.env("PATH", "/nowhere").output().expect("the binary starts");
    let said = stderr(&output);
    assert!(said.contains("`cargo install probe-rs-tools --locked` installs it"), "{said}");
}
