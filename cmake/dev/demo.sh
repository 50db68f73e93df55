# shellcheck shell=bash
# ./dev demo: from nothing to the daemon learning from a real stream. A second start only looks at stamps.

dev_demo() {
  dev_setup build
  configure release
  step "build freshet (release)" ninja -C build/release -j "$(jobs)" freshet
  say "start the demonstration"
  # Replaces this shell: signals and the exit code are the daemon's own.
  exec build/release/freshet demo --data examples/flights/flights-slice.jsonl.gz "$@"
}
