# shellcheck shell=bash
# ./dev lint [FILE...] and ./dev format. clang-tidy's verdict on a file is remembered by content, so a second run is fast.

dev_lint() {
  local failed=0
  dev_setup build lint chart
  configure lint
  run_check "format (clang-format)" check_format "$@" || failed=1
  run_check "shell scripts (shellcheck)" check_scripts || failed=1
  run_check "rooms and words (tests/tidy)" python3 tests/tidy/tidy.py || failed=1
  # With files named only they are looked at.
  [[ $# -gt 0 ]] || lint_chart || failed=1
  run_check "C++ (clang-tidy)" python3 cmake/dev/clang_tidy.py --build build/lint --cache "$cache_dir/clang-tidy" \
    --jobs "$(jobs)" "$@" || failed=1
  [[ $failed -eq 0 ]] || fail "lint found something"
  say "lint is clean"
}

# Like step, but a failure lets the other checks still run.
run_check() {
  local text=$1 start=$EPOCHREALTIME status=0
  shift
  say "$text"
  "$@" || status=1
  local micros=$((${EPOCHREALTIME/./} - ${start/./}))
  printf '    %s in %d.%d s\n' "$([[ $status -eq 0 ]] && echo clean || echo FAILED)" $((micros / 1000000)) \
    $((micros / 100000 % 10))
  return $status
}

# All C++ files of the clone, new ones included.
cxx_files() { git ls-files --cached --others --exclude-standard -- '*.cc' '*.h'; }

check_format() {
  local files=("$@")
  [[ $# -gt 0 ]] || mapfile -t files < <(cxx_files)
  clang-format-16 --dry-run -Werror "${files[@]}" || {
    echo "run ./dev format" >&2
    return 1
  }
}

# -x follows ./dev into the files that it sources.
check_scripts() { shellcheck -x dev .ci/run; }

dev_format() {
  dev_setup lint
  cxx_files | xargs -r clang-format-16 -i
}
