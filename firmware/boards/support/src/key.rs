//! The key of the fleet, if the image holds one: `smidgen image --key FILE` writes it into the section `.smidgen_key`.

use smidgen_firmware::worker::Worker;
use smidgen_protocol::seal::{BOOT_LEN, KEY_LEN, Key, WorkerSeal};

/// Its place, which looks like erased flash where there is none.
#[used]
#[unsafe(link_section = ".smidgen_key")]
static KEY: [u8; KEY_LEN] = Key::NONE;

/// The key, if there is one.
pub fn held() -> Option<Key> {
    // SAFETY: the static is there and never changes. The read is volatile because its bytes are written into the image
    // after it was compiled.
    Key::new(&unsafe { (&raw const KEY).read_volatile() })
}

/// Seals the worker's line if there is a key.
///
/// `boot` draws bytes that no other start of any board draws again. A board with a key that cannot draw them, however
/// often it has tried, does not talk before its next start.
pub fn seal<M>(worker: &mut Worker<M>, boot: impl FnOnce() -> Option<[u8; BOOT_LEN]>)
where
    M: AsRef<[u64]> + AsMut<[u64]>,
{
    let Some(key) = held() else { return };
    match boot() {
        Some(boot) => worker.seal(WorkerSeal::new(key, boot)),
        None => loop {
            cortex_m::asm::wfi();
        },
    }
}
