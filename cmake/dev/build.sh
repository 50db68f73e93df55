# shellcheck shell=bash
# ./dev build and ./dev bench.

dev_build() {
  local preset=release
  [[ ${1:-} != --preset ]] || shift
  if [[ $# -gt 0 ]]; then
    preset=$1
    shift
  fi
  dev_setup build
  configure "$preset"
  step "build ($preset)" ninja -C "build/$preset" -j "$(jobs)" "$@"
}

# configure PRESET [CMAKE ARGUMENTS]
configure() {
  local preset=$1
  shift
  case $preset in
    release | dev | asan | tsan | lint) ;;
    *) fail "no preset '$preset': release, dev, asan, tsan" ;;
  esac
  # ninja itself configures again when a CMake file or the list of sources changes, but does not know of the presets; and
  # lint has no ninja run.
  [[ $# -eq 0 && $preset != lint && build/$preset/build.ninja -nt CMakePresets.json ]] && return 0
  mkdir -p "build/log"
  step "configure ($preset)" configure_quietly "$preset" "$@"
}

configure_quietly() {
  local log
  log=$(log_file "configure-$1")
  cmake --preset "$1" -DFRESHET_LIBTORCH="$cache_dir/libtorch-2.11.0" "${@:2}" >"$log" 2>&1 || {
    cat "$log" >&2
    return 1
  }
}

dev_bench() {
  local name=${1:-}
  shift || true
  dev_setup build bench
  configure release -DFRESHET_BUILD_BENCH=ON
  step "build (release)" ninja -C build/release -j "$(jobs)"
  local bench
  for bench in build/release/bench/*_bench; do
    if [[ -z $name || $bench == */"$name" || $bench == */"${name}_bench" ]]; then
      say "$(basename "$bench")"
      "$bench" "$@"
    fi
  done
}
