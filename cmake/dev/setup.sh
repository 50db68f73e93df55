# shellcheck shell=bash
# ./dev setup: Debian packages, LibTorch, and for tests the Kafka broker, Prometheus, client libraries and parsers. Every part
# looks first and does nothing when it finds what it wants, so that calling it again costs well under a second.

dev_setup() {
  local groups=("$@")
  [[ $# -gt 0 ]] || groups=(build)
  local group
  for group in "${groups[@]}"; do
    [[ -f cmake/dev/packages-$group.txt ]] || fail "setup knows build, test, lint, chart, cluster, bench and run, not '$group'"
  done
  install_packages "${groups[@]}"
  for group in "${groups[@]}"; do
    case $group in
      build) install_libtorch ;;
      chart)
        install_tools cmake/dev/chart-tools.txt "$chart_dir"
        install_chart_python
        ;;
      cluster)
        install_tools cmake/dev/cluster-tools.txt "$cluster_dir"
        install_etcd
        ;;
      test)
        install_broker
        install_prometheus
        install_client triton
        install_client kserve
        install_monitoring
        ;;
    esac
  done
}

# The package=version lines of the groups' lists.
wanted_packages() {
  local group
  for group in "$@"; do
    grep -v '^#' "cmake/dev/packages-$group.txt"
  done
}

# Those of them that are not installed in a version that the list allows.
missing_packages() {
  local -A installed=()
  local status package version wanted
  while read -r status package version; do
    [[ $status == ii ]] && installed[$package]=$version
  done < <(dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n')
  while read -r wanted; do
    package=${wanted%%=*}
    version=${installed[$package]:-}
    # The right side is a glob pattern.
    # shellcheck disable=SC2053
    [[ -n $version && $version == ${wanted#*=} ]] || echo "$wanted"
  done < <(wanted_packages "$@")
}

install_packages() {
  command -v dpkg-query >/dev/null || fail "./dev installs Debian 12 packages; on another system install the lists in cmake/dev/"
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [[ ${#missing[@]} -gt 0 ]] || return 0
  can_be_root || fail "these packages are missing, and without root or sudo they cannot be installed: ${missing[*]%%=*}"
  step "refresh the package index" apt_get update -qq
  step "install ${#missing[@]} Debian packages: ${missing[*]%%=*}" apt_get install -qq --no-install-recommends "${missing[@]}"
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
    -o Dpkg::Use-Pty=0 "$@" </dev/null >"$(log_file apt)" 2>&1 || {
    tail -n 30 "$(log_file apt)" >&2
    return 1
  }
}

log_file() {
  mkdir -p build/log
  echo "build/log/$1.log"
}

# LibTorch is unpacked beside its final place and renamed: a stopped download leaves nothing half-done behind.
install_libtorch() {
  local requirements=cmake/dev/libtorch-requirements.txt target=$cache_dir/libtorch-2.11.0
  stamp_matches "$target" "$requirements" && return 0
  mkdir -p "$cache_dir"
  (
    flock 9
    stamp_matches "$target" "$requirements" && exit 0
    step "download and unpack LibTorch 2.11.0 (550 MB, 1.2 GB unpacked) into $target" \
      unpack_libtorch "$requirements" "$target"
  ) 9>"$cache_dir/.setup-lock"
}

unpack_libtorch() {
  local requirements=$1 target=$2 python scratch
  python=$(python_with_pip)
  scratch=$(mktemp -d "$cache_dir/unpack.XXXXXX")
  # Wheels for one fixed Python, since only their C++ side is used: the machine's own Python does not matter.
  if TMPDIR=$scratch "$python" -m pip install --quiet --no-input --no-deps --require-hashes --no-compile \
    --no-cache-dir --root-user-action=ignore --only-binary=:all: --implementation cp --python-version 3.11 \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_17_x86_64 \
    --platform manylinux2014_x86_64 --target "$scratch/libtorch" --requirement "$requirements" </dev/null; then
    sha256sum <"$requirements" >"$scratch/libtorch/.stamp"
    rm -rf "$target"
    mv "$scratch/libtorch" "$target"
    rm -rf "$scratch"
  else
    rm -rf "$scratch"
    return 1
  fi
}

python_with_pip() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      echo "$python"
      return
    fi
  done
  fail "no python3 with pip: install the packages python3 and python3-pip"
}

# The jars of a real Kafka broker, for tests only.
install_broker() {
  local pom=tests/support/kafka/pom.xml sums=tests/support/kafka/jars.sha256 target=$cache_dir/kafka-4.1.0
  stamp_matches "$target" "$sums" && return 0
  mkdir -p "$cache_dir"
  (
    flock 9
    stamp_matches "$target" "$sums" && exit 0
    step "download the Kafka 4.1.0 broker (43 MB) into $target" copy_jars "$pom" "$sums" "$target"
  ) 9>"$cache_dir/.setup-lock"
}

copy_jars() {
  local pom=$1 sums=$root/$2 target=$3 scratch
  scratch=$(mktemp -d "$cache_dir/unpack.XXXXXX")
  if fetch_jars "$pom" "$scratch/jars" &&
    (cd "$scratch/jars" && sha256sum --quiet --strict --check "$sums") &&
    [[ $(find "$scratch/jars" -type f | wc -l) -eq $(wc -l <"$sums") ]]; then
    sha256sum <"$sums" >"$scratch/jars/.stamp"
    rm -rf "$target"
    mv "$scratch/jars" "$target"
    rm -rf "$scratch"
  else
    rm -rf "$scratch"
    return 1
  fi
}

fetch_jars() {
  mvn --batch-mode --quiet --strict-checksums --file "$1" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$2" </dev/null >"$(log_file maven)" 2>&1 || {
    cat "$(log_file maven)" >&2
    return 1
  }
}

# Prometheus and promtool, for tests only: out of Debian's package, which itself would start a server on this machine.
install_prometheus() {
  local target=$cache_dir/prometheus-2.42
  [[ -x $target/promtool && -x $target/prometheus ]] && return 0
  mkdir -p "$cache_dir"
  (
    flock 9
    [[ -x $target/promtool && -x $target/prometheus ]] && exit 0
    step "download Prometheus 2.42 into $target" unpack_programs 'prometheus=2.42.0*' "$target"
  ) 9>"$cache_dir/.setup-lock"
}

# unpack_programs PACKAGE=VERSION FOLDER: the programs of a Debian package, without installing it.
unpack_programs() {
  local package=$1 target=$2 scratch log
  log=$(log_file "${package%%=*}")
  scratch=$(mktemp -d "$cache_dir/unpack.XXXXXX")
  if (
    cd "$scratch"
    apt-get -o Acquire::Retries=3 download "$package" || {
      as_root apt-get update -qq && apt-get -o Acquire::Retries=3 download "$package"
    }
    dpkg-deb --extract ./*.deb package
  ) </dev/null >"$log" 2>&1; then
    rm -rf "$target"
    mv "$scratch/package/usr/bin" "$target"
    rm -rf "$scratch"
  else
    rm -rf "$scratch"
    tail -n 30 "$log" >&2
    return 1
  fi
}

# A client library of the inference protocol with what it imports, for tests/clients only: in an environment of its own,
# since their pins differ.
install_client() {
  local name=$1
  local requirements=tests/clients/$name-requirements.txt target=$cache_dir/clients/$name
  stamp_matches "$target" "$requirements" && return 0
  mkdir -p "$cache_dir/clients"
  (
    flock 9
    stamp_matches "$target" "$requirements" && exit 0
    step "install the client library $(grep -E '^(tritonclient|kserve)==' "$requirements") into $target" \
      make_client "$requirements" "$target"
  ) 9>"$cache_dir/.setup-lock"
}

# What reads the monitoring's rules and dashboard, for tests/monitoring only.
install_monitoring() {
  local requirements=tests/monitoring/requirements.txt target=$cache_dir/monitoring
  stamp_matches "$target" "$requirements" && return 0
  mkdir -p "$cache_dir"
  (
    flock 9
    stamp_matches "$target" "$requirements" && exit 0
    step "install parsers of PromQL and YAML into $target" make_client "$requirements" "$target"
  ) 9>"$cache_dir/.setup-lock"
}

make_client() {
  local requirements=$1 target=$2 python scratch log
  log=$(log_file clients)
  python=$(python_with_pip)
  scratch=$(mktemp -d "$cache_dir/unpack.XXXXXX")
  # Without a pip of its own, whose making needs a Debian package more; the outer one fills it.
  if "$python" -m venv --without-pip "$scratch/client" &&
    "$python" -m pip --python "$scratch/client/bin/python" install --quiet --no-input --no-deps --no-cache-dir \
      --disable-pip-version-check --root-user-action=ignore --only-binary=:all: \
      --requirement "$requirements" </dev/null >"$log" 2>&1; then
    sha256sum <"$requirements" >"$scratch/client/.stamp"
    rm -rf "$target"
    mv "$scratch/client" "$target"
    rm -rf "$scratch"
  else
    tail -n 30 "$log" >&2
    rm -rf "$scratch"
    return 1
  fi
}

# True when FOLDER was completed from exactly this LIST.
stamp_matches() {
  [[ -f $1/.stamp && $(<"$1/.stamp") == "$(sha256sum <"$2")" ]]
}
