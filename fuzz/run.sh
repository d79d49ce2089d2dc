#!/usr/bin/env bash
# Fuzzes each target for a while, from its committed seeds, and says in one line what came of it.
# fuzz/run.sh SECONDS [TARGET...]
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}; shift || true
# libFuzzer needs the compiler's own flags, which the stable one has behind this switch.
export RUSTC_BOOTSTRAP=1
if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "Installing cargo-fuzz (a minute, once)"
  cargo install --locked --quiet cargo-fuzz || exit 1
fi
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then mapfile -t targets < <(cargo fuzz list); fi
failed=0
for target in "${targets[@]}"; do
  mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
  log="fuzz/artifacts/$target.log"
  if cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
      -max_total_time="$seconds" -timeout=1 -rss_limit_mb=1024 -max_len=8192 -print_final_stats=1 >"$log" 2>&1; then
    word=clean
  else
    word="FAILED, see $log"; failed=1
  fi
  stat() { awk -v name="stat::$1:" '$1 == name { print $2 }' "$log"; }
  printf '%-16s %12s inputs %8s/s  slowest %s s  peak %s MB  %s\n' "$target" \
    "$(stat number_of_executed_units)" "$(stat average_exec_per_sec)" \
    "$(stat slowest_unit_time_sec)" "$(stat peak_rss_mb)" "$word"
done
exit $failed
