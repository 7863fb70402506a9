//! One test binary for whole-broker tests; one file per subject.
