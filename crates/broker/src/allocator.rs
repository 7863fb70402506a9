//! The one call that Rust cannot check: memory goes back to the system.

/// Give the memory that is free back to the system. mimalloc does so by itself only while memory is asked for and freed,
/// so that an idle broker would keep what its start needed.
#[allow(unsafe_code, reason = "a C function without preconditions")]
pub fn give_back() {
    // SAFETY: it takes no pointer, and any thread may call it at any time.
    #[cfg(feature = "mimalloc")]
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}
