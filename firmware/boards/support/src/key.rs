//! The key of the fleet. `smidgen image --key FILE` writes it into the section `.smidgen_key` of an image.

use crate::{cpu, log};
use smidgen_firmware::worker::Worker;
use smidgen_protocol::seal::{BOOT_LEN, KEY_LEN, Key, WorkerSeal};

/// Place of the key; looks like erased flash if there is none.
#[used]
#[unsafe(link_section = ".smidgen_key")]
static KEY: [u8; KEY_LEN] = Key::NONE;

/// The key, if the image has one.
pub fn held() -> Option<Key> {
    // SAFETY: the static is valid and never written by the program. The read is volatile because the bytes are written
    // into the image after compilation.
    Key::new(&unsafe { (&raw const KEY).read_volatile() })
}

/// Seals the worker's line if there is a key.
///
/// `boot` draws bytes that are unique among all starts of all boards. If it fails, the board stays silent until the
/// next start.
pub fn seal<M>(worker: &mut Worker<M>, boot: impl FnOnce() -> Option<[u8; BOOT_LEN]>)
where
    M: AsRef<[u64]> + AsMut<[u64]>,
{
    let Some(key) = held() else { return };
    match boot() {
        Some(boot) => worker.seal(WorkerSeal::new(key, boot)),
        None => {
            log::silent();
            loop {
                cpu::sleep();
            }
        }
    }
}
