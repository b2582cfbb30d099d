//! Tests of the routes to boards, on computers with and without programs and drives.

use super::*;
use crate::boards::board::BOARDS;
use tempfile::{TempDir, tempdir};

const PROGRAM: FlashProgram = FlashProgram {
    name: "dfu-util",
    arguments: &["-a", "0", "-D", "{elf}"],
    install: "apt install dfu-util",
};

/// The commands to a board with an image.
fn lines(route: &Route) -> Vec<String> {
    match route.way(Path::new("an image")).unwrap() {
        Way::Commands(commands) => commands.iter().map(line).collect(),
        Way::Copy { from, to } => panic!("it copies {from:?} to {to:?}"),
    }
}

fn board(name: &str) -> &'static Board {
    Board::find(name).unwrap()
}

/// A board of the table, flashed in another way.
fn flashed_by(flash: Flash) -> Board {
    Board { name: "my-board", flash, emulation: None, ..*board("stm32f405") }
}

/// A computer with every program, and with the drives of these labels mounted.
fn equipped(labels: &[&str]) -> (TempDir, Equipment) {
    let folder = tempdir().unwrap();
    let [programs, mounts] = ["programs", "mounts"].map(|name| folder.path().join(name));
    fs::create_dir(&programs).unwrap();
    let others = BOARDS.iter().filter_map(|board| match board.flash {
        Flash::Program(program) => Some(program.name),
        Flash::Probe(_)
        | Flash::Drive { .. }
        | Flash::Uf2 { .. }
        | Flash::Espflash(_)
        | Flash::Unsupported => None,
    });
    for program in [PROBE, ESPFLASH, PROGRAM.name].into_iter().chain(others) {
        fs::write(programs.join(program), "").unwrap();
    }
    labels.iter().for_each(|label| fs::create_dir_all(mounts.join(label)).unwrap());
    (folder, Equipment { programs: vec![programs], mounts: vec![mounts] })
}

#[test]
fn probe_writes_the_image_and_starts_it() {
    let route = Route::Probe { chip: "STM32F405RGTx", probe: None, log: false };
    let download = "probe-rs download --chip STM32F405RGTx 'an image'";
    assert_eq!(lines(&route), [download, "probe-rs reset --chip STM32F405RGTx"]);
}

#[test]
fn espflash_writes_the_image() {
    let way = espflash("esp32c3", None, Path::new("an image"));
    assert_eq!(way.describe(), "running `espflash flash --chip esp32c3 'an image'`");
}

#[test]
fn programs_are_told_which_of_several_boards() {
    let (_folder, here) = equipped(&["MICROBIT"]);
    let route = |name, wishes| Route::find(board(name), &wishes, &here).unwrap();
    let probe = Wishes { probe: Some("0d28:0204:99"), ..Wishes::default() };
    let chosen = "--chip STM32F405RGTx --probe 0d28:0204:99";
    assert_eq!(
        lines(&route("stm32f405", probe)),
        [format!("probe-rs download {chosen} 'an image'"), format!("probe-rs reset {chosen}")]
    );
    assert_eq!(
        lines(&route("stm32f405", Wishes { log: true, ..probe })),
        [format!("probe-rs run {chosen} 'an image'")]
    );
    // A probe that is named is used, even if the drive is mounted.
    let microbit = "--chip nRF51822_xxAA --probe 0d28:0204:99";
    assert_eq!(lines(&route("microbit", probe))[1], format!("probe-rs reset {microbit}"));
    let port = Wishes { port: Some("/dev/ttyUSB1"), ..Wishes::default() };
    assert_eq!(
        lines(&route("esp32-c3", port)),
        ["espflash flash --chip esp32c3 --port /dev/ttyUSB1 'an image'"]
    );
}

#[test]
fn wishes_that_do_not_fit_the_board_are_refused() {
    let (_folder, here) = equipped(&[]);
    let other = flashed_by(Flash::Program(PROGRAM));
    let refused = |board, wishes: Wishes| Route::find(board, &wishes, &here).unwrap_err();
    let (drive, none) = (Path::new("/no/such/drive"), Wishes::default());
    for (board, wishes, sentence) in [
        (board("microbit"), Wishes { drive: Some(drive), ..none }, "/no/such/drive is not a"),
        (board("stm32f405"), Wishes { drive: Some(drive), ..none }, "stm32f405 has no drive: "),
        (&other, Wishes { drive: Some(drive), ..none }, "my-board has no drive: "),
        (board("esp32-c3"), Wishes { probe: Some("1:2"), ..none }, "esp32-c3 is not flashed by a"),
        (&other, Wishes { probe: Some("1:2"), ..none }, "my-board is not flashed by a debug"),
        (board("pico"), Wishes { port: Some("COM3"), ..none }, "pico is not flashed over a serial"),
        (&other, Wishes { port: Some("COM3"), ..none }, "my-board is not flashed over a serial"),
        (board("esp32-c3"), Wishes { log: true, ..none }, "esp32-c3 has no log over a debug"),
        (&other, Wishes { log: true, ..none }, "my-board has no log over a debug probe: "),
    ] {
        let refusal = refused(board, wishes).to_string();
        assert!(refusal.starts_with(sentence), "{refusal}");
    }
}

#[test]
fn computer_without_programs_and_drives_gets_a_reason() {
    let here = Equipment::default();
    for board in BOARDS {
        let reason = Route::find(board, &Wishes::default(), &here).unwrap_err().to_string();
        let expected = match &board.flash {
            Flash::Unsupported => "exists in emulation only",
            Flash::Probe(_) => "probe-rs is not installed",
            Flash::Espflash(_) => "espflash is not installed",
            Flash::Program(program) => program.install,
            Flash::Drive { label, .. } | Flash::Uf2 { label, .. } => label,
        };
        assert!(reason.contains(expected) && reason.contains(board.name), "{reason}");
    }
}

#[test]
fn computer_with_all_programs_has_a_route_to_every_board() {
    let (_folder, here) = equipped(&[]);
    for board in BOARDS {
        let found = Route::find(board, &Wishes::default(), &here);
        let expected = match board.flash {
            Flash::Unsupported => {
                assert!(matches!(found, Err(FlashError::EmulatedOnly(_))), "{found:?}");
                continue;
            }
            Flash::Probe(chip) | Flash::Drive { chip, .. } | Flash::Uf2 { chip, .. } => {
                Route::Probe { chip, probe: None, log: false }
            }
            Flash::Espflash(chip) => Route::Espflash { chip, port: None },
            Flash::Program(program) => Route::Program(program),
        };
        assert_eq!(found.unwrap(), expected, "{}", board.name);
    }
}

#[test]
fn mounted_drive_is_preferred_to_a_probe() {
    for board in BOARDS {
        let (label, format) = match board.flash {
            Flash::Drive { label, .. } => (label, Format::Hex),
            Flash::Uf2 { label, family, .. } => (label, Format::Uf2(family)),
            Flash::Probe(_) | Flash::Espflash(_) | Flash::Program(_) | Flash::Unsupported => {
                continue;
            }
        };
        let (folder, here) = equipped(&[label]);
        let drive = Route::Drive(folder.path().join("mounts").join(label), format);
        let found = Route::find(board, &Wishes::default(), &here).unwrap();
        assert_eq!(found, drive, "{}", board.name);
    }
}

#[test]
fn another_program_gets_the_image_where_its_arguments_say() {
    let (folder, here) = equipped(&[]);
    let find = |program| {
        let board = flashed_by(Flash::Program(program));
        Route::find(&board, &Wishes::default(), &here)
    };
    assert_eq!(lines(&find(PROGRAM).unwrap()), ["dfu-util -a 0 -D 'an image'"]);

    let arguments = &["program {elf} reset", "--quiet"];
    let quoted = find(FlashProgram { arguments, ..PROGRAM }).unwrap();
    assert_eq!(lines(&quoted), ["dfu-util 'program an image reset' --quiet"]);

    let arguments = &["--quiet"];
    let reason = find(FlashProgram { arguments, ..PROGRAM }).unwrap_err().to_string();
    assert!(reason.starts_with("no argument of dfu-util for my-board is the image: write"));

    let missing = FlashProgram { name: "openocd", install: "apt install openocd", ..PROGRAM };
    assert_eq!(
        find(missing).unwrap_err().to_string(),
        "my-board is flashed by openocd, which is not installed: `apt install openocd` installs it; then run this again"
    );
    drop(folder);
}

/// The program is a script that keeps what it gets.
#[test]
fn another_program_is_run_with_a_converted_image() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempdir().unwrap();
    let (script, kept) = (folder.path().join("loader"), folder.path().join("kept"));
    fs::write(&script, format!("#!/bin/sh\ncat \"${{1#image=}}\" >'{}'\n", kept.display()))
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let image = folder.path().join("image");
    fs::write(&image, elf(0x0800_0000, b"worker")).unwrap();
    let name = script.into_os_string().into_string().unwrap().leak();
    let found = |argument: &'static [&'static str]| {
        let program = FlashProgram { name, arguments: argument, ..PROGRAM };
        let board = flashed_by(Flash::Program(program));
        Route::find(
            &board,
            &Wishes::default(),
            &Equipment { programs: vec!["/".into()], mounts: vec![] },
        )
    };
    found(&["image={bin}"]).unwrap().way(&image).unwrap().go().unwrap();
    assert_eq!(fs::read(&kept).unwrap(), b"worker");
    found(&["image={hex}"]).unwrap().way(&image).unwrap().go().unwrap();
    let hex = fs::read_to_string(&kept).unwrap();
    assert!(hex.starts_with(":020000040800F2") && hex.contains("776F726B6572"), "{hex}");
}

/// An ELF file whose only part is flash at this address.
fn elf(address: u32, flash: &[u8]) -> Vec<u8> {
    const HEADER: [u32; 13] =
        [0x464C_457F, 0x0001_0101, 0, 0, 0x0028_0002, 1, 0, 52, 0, 0, 0x0020_0034, 0x0028_0001, 0];
    let len = flash.len() as u32;
    let part = [1, 84, address, address, len, len, 5, 4];
    let words = HEADER.into_iter().chain(part).flat_map(u32::to_le_bytes);
    words.chain(flash.iter().copied()).collect()
}

#[test]
fn image_is_at_each_of_its_places() {
    let command = filled("flash write_image {elf}; verify_image {elf}", Path::new("a"));
    assert_eq!(command.unwrap(), "flash write_image a; verify_image a");
    assert_eq!(filled("{other}", Path::new("a")).unwrap(), "{other}");
}
