# shellcheck shell=bash
# ./dev image: the container image, with whichever builder this machine has. The steps are in Dockerfile.

dev_image() {
  local base=debian:bookworm-slim tag
  tag=freshet:$(sed -n 's/^project(freshet VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
  while [[ $# -gt 0 ]]; do
    case $1 in
      --base) base=${2:?--base needs an image} ;;
      --tag) tag=${2:?--tag needs a name} ;;
      *) fail "image knows --base IMAGE and --tag TAG, not '$1'" ;;
    esac
    shift 2
  done
  local builder
  builder=$(image_builder)
  step "build image $tag with ${builder%% *}" run_builder "$builder" "$base" "$tag"
}

image_builder() {
  if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    echo docker build
  elif command -v podman >/dev/null; then
    echo podman build
  elif command -v buildah >/dev/null; then
    echo buildah bud --isolation chroot
  else
    fail "no container builder: install podman, buildah, or docker with its daemon running"
  fi
}

run_builder() {
  local engine base=$2 tag=$3
  read -r -a engine <<<"$1"
  "${engine[@]}" --build-arg "BASE=$base" --tag "$tag" --file Dockerfile .
}
