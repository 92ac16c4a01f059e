//! Where panics happen: kept per thread, and handed from a worker to its caller.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// Drops what a panic carries, where another panic is passed on already. It may panic in turn; what that
/// carries is left alone.
pub(super) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(another);
    }
}
