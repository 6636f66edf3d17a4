#!/usr/bin/env bash
# Runs the fuzzers, each for so many seconds: tests/fuzz/run.sh SECONDS [TARGET…]
#
# Needs cargo-fuzz (`cargo install --locked cargo-fuzz`) and a C++ compiler. Works with the stable toolchain: what libFuzzer needs of the
# nightly one is let through by RUSTC_BOOTSTRAP. Inputs that are found to be interesting go to tests/fuzz/corpus, those that
# fail to tests/fuzz/artifacts; neither is kept. A failing input that was mended becomes a seed: tests/fuzz/seeds/TARGET/NAME.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds="${1:?the seconds for each target}"
shift
targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then
  for directory in seeds/*/; do targets+=("$(basename "$directory")"); done
fi

export RUSTC_BOOTSTRAP=1
# The code under test is safe Rust: what a sanitizer would see, the language refuses.
fuzz=(cargo fuzz run --fuzz-dir . --sanitizer none)
failed=()
for target in "${targets[@]}"; do
  export ORGKEEP_FUZZ_TARGET="$target"
  mkdir -p "corpus/$target" "artifacts/$target"
  echo "== $target"
  program=engine
  [[ "$target" == unpack ]] && program=unpack
  "${fuzz[@]}" "$program" "corpus/$target" "seeds/$target" -- -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -artifact_prefix="artifacts/$target/" -print_final_stats=1 2>"artifacts/$target/log" || failed+=("$target")
  grep -E '^stat::number_of_executed_units|^SUMMARY|panicked at|cov:.* DONE|^#[0-9]+.DONE' "artifacts/$target/log" || tail -n 20 "artifacts/$target/log"
done
if [[ ${#failed[@]} -gt 0 ]]; then
  echo "failed: ${failed[*]}"
  exit 1
fi
