//! Measures the broker against raw loops over the same bytes, as ratios within one run.
fn main() {}
