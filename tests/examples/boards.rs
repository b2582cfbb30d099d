//! What `scripts/test.sh` and the author of a board ask of the table of boards, so that no script lists boards, targets
//! or compilers:
//!
//! ```text
//! boards missing     prints which compiler is not installed, or nothing
//! boards names       prints the names of all boards
//! boards lint        runs clippy on the packages of all boards
//! boards no-std      checks that protocol and firmware build without a standard library
//! boards sizes       builds all images and prints their sizes
//! boards rows        builds images and writes their rows in the tables of firmware/boards/README.md; only those of the
//!                    boards that `SMIDGEN_BOARDS` names, if it is set
//! ```

use object::{Object, ObjectSection};
use smidgen::boards::board::{BOARDS, Board};
use smidgen::boards::image::{self, ImageError};
use smidgen::boards::tested::tested;
use smidgen_tests::board_page::{self, Room};
use smidgen_tests::emulation::present;
use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs, iter};

/// The package that `smidgen new-board` copies, which is in no row, and its target.
const TEMPLATE: (&str, &str) = ("template", "thumbv7m-none-eabi");
/// Target of the check, with no standard library and the smallest instruction set.
const NO_STD_TARGET: &str = "thumbv6m-none-eabi";

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let task = env::args().nth(1).unwrap_or_default();
    let outcome = match task.as_str() {
        "missing" => print_missing(),
        "names" => {
            BOARDS.iter().for_each(|board| println!("{}", board.name));
            Ok(())
        }
        "lint" => {
            let packages = images().into_iter().map(|board| (board.package, board.target));
            packages.chain([TEMPLATE]).try_for_each(lint)
        }
        "no-std" => check_no_std(),
        "sizes" => images().into_iter().try_for_each(print_size),
        "rows" => write_rows(),
        _ => Err("usage: boards missing | names | lint | no-std | sizes | rows".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One board per image.
fn images() -> Vec<&'static Board> {
    let mut seen = BTreeSet::new();
    BOARDS.iter().filter(|board| seen.insert((board.package, board.target))).collect()
}

fn print_missing() -> Outcome {
    for board in images() {
        if let Err(missing) = present(image::cargo(board.target))? {
            println!("{missing}");
            break;
        }
    }
    Ok(())
}

fn lint((package, target): (&str, &'static str)) -> Outcome {
    let features = format!("{package}/defmt");
    let mut cargo = cargo(target, "clippy")?;
    // `cargo clippy` takes the first clippy of the path, which must be that of the compiler.
    let rustc = cargo.get_envs().find_map(|(name, path)| path.filter(|_| name == "RUSTC"));
    if let Some(folder) = rustc.and_then(|rustc| Path::new(rustc).parent()) {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = iter::once(folder.to_owned()).chain(env::split_paths(&path));
        let path = env::join_paths(folders)?;
        cargo.env("PATH", path);
    }
    cargo.args(["--release", "--package", "board-support", "--package", package]);
    cargo.args(["--lib", "--bins", "--examples", "--features", &features, "--", "-D", "warnings"]);
    run(cargo)
}

fn check_no_std() -> Outcome {
    let mut cargo = cargo(NO_STD_TARGET, "check")?;
    cargo.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")]);
    cargo.args(["--package", "smidgen-protocol", "--package", "smidgen-firmware"]);
    run(cargo)
}

fn cargo(target: &'static str, task: &str) -> Result<Command, ImageError> {
    let mut cargo = image::cargo(target)?;
    cargo.args([task, "--locked", "--target", target]);
    Ok(cargo)
}

fn run(mut command: Command) -> Outcome {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(format!("{command:?} failed").into()),
    }
}

fn print_size(board: &Board) -> Outcome {
    let elf = fs::read(image::build(board)?)?;
    let file = object::File::parse(&*elf)?;
    let size_of = |name: &str| file.section_by_name(name).map_or(0, |section| section.size());
    let text: u64 = [".text", ".rodata", ".vector_table"].into_iter().map(size_of).sum();
    let (data, bss) = (size_of(".data"), size_of(".bss"));
    let Board { package, target, .. } = board;
    println!("{package} for {target}: {text} bytes of text, {data} of data, {bss} of bss");
    Ok(())
}

fn write_rows() -> Outcome {
    let (path, room) = (board_page::path(), Room::of_digits());
    for board in tested()?.boards {
        let elf = fs::read(image::build(board)?)?;
        let page = board_page::with_rows(&fs::read_to_string(&path)?, board, &elf, &room)?;
        fs::write(&path, page)?;
        println!("{} has its rows in {}", board.name, path.display());
    }
    Ok(())
}
