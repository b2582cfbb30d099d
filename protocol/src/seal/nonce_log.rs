//! Log of all encryptions on a test's thread, to detect a reused nonce.

use std::cell::RefCell;

/// Key and nonce, and the authenticated and encrypted text.
type Encryption = ((Vec<u8>, Vec<u8>), Vec<u8>);

thread_local! {
    static LOG: RefCell<Vec<Encryption>> = const { RefCell::new(Vec::new()) };
}

/// Records an encryption.
pub(super) fn record(key: &[u8], nonce: &[u8], head: &[u8], content: &[u8]) {
    let text = [head, content].concat();
    LOG.with(|log| log.borrow_mut().push(((key.to_vec(), nonce.to_vec()), text)));
}

/// Empties the log and returns its entries.
pub(super) fn take() -> Vec<Encryption> {
    LOG.with(|log| log.borrow_mut().split_off(0))
}
