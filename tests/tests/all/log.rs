//! Images with a log: the smallest link, and an emulated board logs its start in the format of defmt.
//!
//! The first line is decoded here, since the crate `defmt-decoder` comes with some fifty others.

use object::{Object, ObjectSection, ObjectSymbol};
use smidgen::boards::board::{Board, Emulation};
use smidgen::boards::image;
use smidgen::boards::qemu::Told;
use smidgen_tests::emulation::{image_of, tested};
use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

/// Time-out for QEMU and for the first line of the log.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The words of a control block of RTT: its mark of 16 bytes, the numbers of channels, the first channel.
const CONTROL_WORDS: usize = 12;
const BUFFER: usize = 7;
const WRITTEN: usize = 9;

/// Builds the image of a board with a log, in a folder of its own, since it has the name of the image without one.
fn image_with_log(name: &str, test: &str) -> Option<(&'static Board, PathBuf)> {
    let (board, image) = image_of(name, test)?;
    let Board { package, target, .. } = board;
    let folder = image.ancestors().nth(3).expect("TARGET/TRIPLE/release/PACKAGE").join("log");
    let mut cargo = image::cargo(target).expect("it has built an image");
    cargo.args(["build", "--locked", "--release", "--bins", "--package", package]);
    cargo.args(["--features", &format!("{package}/defmt"), "--target", target]);
    let built = cargo.arg("--target-dir").arg(&folder).output().expect("cargo starts");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "the image of {name} has no log: {said}");
    Some((board, folder.join(target).join("release").join(package)))
}

/// The images with the least memory link, one of each linker script: there, a log could be too large. Each takes half a
/// minute; all images with a log are only linted.
#[test]
fn smallest_images_link_with_a_log() {
    let test = "smallest_images_link_with_a_log";
    let boards = tested(test);
    for architecture in ["thumb", "riscv"] {
        let its = boards.iter().filter(|board| board.target.starts_with(architecture));
        let Some(smallest) = its.min_by_key(|board| board.memory_len) else { continue };
        if image_with_log(smallest.name, test).is_none() {
            return;
        }
    }
}

/// A board in QEMU, whose memory can be read.
struct Qemu {
    child: Child,
    monitor: UnixStream,
    folder: TempDir,
}

impl Qemu {
    fn start(board: &Board, image: &Path) -> Self {
        let Some(Emulation::Qemu(qemu)) = &board.emulation else { panic!("QEMU has it") };
        let folder = tempdir().unwrap();
        let socket = folder.path().join("monitor");
        let program = env::var_os(qemu.system.variable());
        let mut command = Command::new(program.unwrap_or(qemu.system.program().into()));
        let told = Told { identity: "1", seed: None, channels: None };
        command.args(qemu.options(board.identity_address, told)).args(["-serial", "null"]);
        command.arg("-monitor").arg(format!("unix:{},server=on,wait=off", socket.display()));
        command.arg("-kernel").arg(image).stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let monitor = wait("QEMU opens its monitor", || UnixStream::connect(&socket).ok());
        Self { child, monitor, folder }
    }

    fn memory(&mut self, address: u32, len: usize) -> Vec<u8> {
        let file = self.folder.path().join("memory");
        let request = format!("pmemsave {address:#x} {len} \"{}\"\n", file.display());
        self.monitor.write_all(request.as_bytes()).unwrap();
        let read = wait("QEMU writes its memory", || {
            fs::read(&file).ok().filter(|bytes| bytes.len() == len)
        });
        fs::remove_file(&file).unwrap();
        read
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It fails only if QEMU has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        sleep(POLL_INTERVAL);
    }
}

#[test]
fn emulated_board_logs_its_start() {
    let test = "emulated_board_logs_its_start";
    let Some((board, image)) = image_with_log("mps2-m3", test) else { return };
    let elf = fs::read(&image).unwrap();
    let file = object::File::parse(&*elf).unwrap();
    let address = |name| file.symbol_by_name(name).expect("it has this symbol").address() as u32;
    let control = address("_SEGGER_RTT");

    let mut qemu = Qemu::start(board, &image);
    let frame = wait("the board logs its start", || {
        let control = qemu.memory(control, 4 * CONTROL_WORDS);
        let (words, _) = control.as_chunks();
        let word = |index: usize| u32::from_le_bytes(words[index]);
        let is_ready = control.starts_with(b"SEGGER RTT") && word(WRITTEN) != 0;
        let log = is_ready.then(|| qemu.memory(word(BUFFER), word(WRITTEN) as usize))?;
        // A zero is before and after each frame.
        let mut ends = log.split_inclusive(|&byte| byte == 0);
        ends.find(|frame| frame.len() > 1)?.strip_suffix(&[0]).map(<[u8]>::to_vec)
    });
    let frame = decoded(&frame).expect("a whole frame");
    let mut fields = Fields(&frame);
    assert_eq!(u64::from(fields.short()), index_of_format(&file, "bytes, the line is {=str}"));
    assert_eq!((fields.text(), fields.long()), ("mps2-m3".to_owned(), 1));
    assert_eq!(u64::from(fields.short()), index_of_format(&file, "{=usize}"));
    // The worker takes whole words of the memory that this image leaves.
    let left = address("_ram_end") - address("__sheap");
    assert_eq!(fields.word(), left / 8 * 8);
    assert_eq!(fields.text(), "open");
    // The encoding fills a group of bytes with zeros.
    assert!(fields.0.iter().all(|&byte| byte == 0), "{:?}", fields.0);
}

/// The number of the format that ends so: the address of its symbol.
fn index_of_format(file: &object::File<'_>, end: &str) -> u64 {
    let section = file.section_by_name(".defmt").expect("formats have a section").index();
    let end = format!("{end}\",");
    let mut symbols = file.symbols().filter(|symbol| symbol.section_index() == Some(section));
    let format = symbols.find(|symbol| symbol.name().is_ok_and(|name| name.contains(&end)));
    format.unwrap_or_else(|| panic!("no format ends with {end}")).address()
}

/// Decodes a frame of reverse zero-compressing COBS, without the zero after it.
fn decoded(frame: &[u8]) -> Option<Vec<u8>> {
    let (mut bytes, mut found) = (frame.iter().rev().copied(), vec![]);
    while let Some(code) = bytes.next() {
        match code {
            0 => return None,
            // Each of seven bytes is zero or in front of the code.
            0x01..0x80 => {
                for bit in (0..7).rev() {
                    found.push(if code >> bit & 1 == 1 { 0 } else { bytes.next()? });
                }
            }
            0x80..0xFF => {
                found.push(0);
                for _ in 0..(code & 0x7F) + 7 {
                    found.push(bytes.next()?);
                }
            }
            0xFF => {
                for _ in 0..134 {
                    found.push(bytes.next()?);
                }
            }
        }
    }
    found.reverse();
    Some(found)
}

/// The fields of a frame that are left.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("the frame has this field");
        self.0 = rest;
        *field
    }

    fn short(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn text(&mut self) -> String {
        let len = self.word() as usize;
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        String::from_utf8(text.to_vec()).unwrap()
    }
}
