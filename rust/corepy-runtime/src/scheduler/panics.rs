//! Where panics happen: kept per thread, and handed from a worker to its caller.

use std::cell::RefCell;

/// File, line and column.
pub type Place = String;

thread_local! {
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// Lets panics note their place and print nothing: a library leaves that to the exception.
pub fn note_places() {
    std::panic::set_hook(Box::new(|panic| set_place(panic.location().map(ToString::to_string))));
}

/// The place of the panic that this thread has caught last, once.
pub fn take_place() -> Option<Place> {
    PLACE.try_with(|place| place.try_borrow_mut().ok()?.take()).ok()?
}

pub(super) fn set_place(new: Option<Place>) {
    // A thread that ends has no place any more.
    let _ = PLACE.try_with(|place| {
        if let Ok(mut place) = place.try_borrow_mut() {
            *place = new;
        }
    });
}
