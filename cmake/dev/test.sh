# shellcheck shell=bash
# ./dev test [PRESET] [--all] [CTEST ARGUMENTS]: every test that is not labelled slow; --all runs those too.

dev_test() {
  local preset=release all=no arguments=()
  while [[ $# -gt 0 ]]; do
    case $1 in
      --all) all=yes ;;
      release | dev | asan | tsan) preset=$1 ;;
      --preset)
        preset=${2:?--preset needs a name}
        shift
        ;;
      *) arguments+=("$1") ;;
    esac
    shift
  done
  [[ $all == yes ]] || arguments+=(--label-exclude slow)
  dev_setup build test chart
  configure "$preset"
  step "build ($preset)" ninja -C "build/$preset" -j "$(jobs)"
  say "run the tests ($preset)"
  FRESHET_KAFKA_JARS=$cache_dir/kafka-4.1.0 FRESHET_PROMETHEUS=$cache_dir/prometheus-2.42 \
    FRESHET_CLIENTS=$cache_dir/clients run_ctest "$preset" "${arguments[@]}"
}

run_ctest() {
  local preset=$1 wrap=() junit=$root/build/$1/Testing/results.xml
  shift
  rm -f "$junit"
  # The thread sanitizer's memory layout collides with wide address randomisation.
  if [[ $preset == tsan && $(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28) -gt 28 ]]; then
    wrap=(setarch -R)
  fi
  ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1} \
  UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1} \
  LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$root/tests/support/lsan.supp} \
  TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$root/tests/support/tsan.supp second_deadlock_stack=1} \
    "${wrap[@]}" ctest --test-dir "build/$preset" --parallel 2 --output-on-failure --no-tests=error \
    --output-junit "$junit" --test-output-truncation head "$@" </dev/null && return
  local code=$?
  [[ -f $junit ]] && python3 cmake/dev/failed_tests.py "$junit"
  return "$code"
}
