#!/bin/sh
# Builds the targets with a stable compiler: the same coverage that cargo-fuzz asks for, without a sanitizer.
set -eu
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1
# In place of the flags in .cargo/config.toml: libFuzzer does not start in a static executable.
export RUSTFLAGS="--cfg fuzzing -C debug-assertions -C codegen-units=1 -C passes=sancov-module \
 -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
 -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares"
exec cargo build --release "$@"
