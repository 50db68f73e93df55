# shellcheck shell=bash
# What the commands of ./dev share: saying what happens, where downloads live, how many jobs fit.

cache_dir=${FRESHET_CACHE:-${HOME:-/root}/.cache/freshet}

say() { printf '==> %s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# step TEXT COMMAND...: says what is done, does it, says how long it took.
step() {
  local text=$1 start=$EPOCHREALTIME
  shift
  say "$text"
  "$@" || fail "$text: failed"
  local micros=$((${EPOCHREALTIME/./} - ${start/./}))
  printf '    done in %d.%d s\n' $((micros / 1000000)) $((micros / 100000 % 10))
}

# A file that includes LibTorch takes up to 2.5 GB to compile.
jobs() {
  local cores memory_gb fit
  cores=$(nproc)
  memory_gb=$(awk '/^MemAvailable:/ {print int($2 / 1048576)}' /proc/meminfo 2>/dev/null || echo 4)
  fit=$((memory_gb * 2 / 5))
  [[ $fit -ge 1 ]] || fit=1
  echo $((fit < cores ? fit : cores))
}

can_be_root() { [[ $(id -u) -eq 0 ]] || command -v sudo >/dev/null; }

as_root() {
  if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}
