#!/usr/bin/env bash
# Installs the systems that Freshet is compared with, each in a Python environment of its own, at pinned versions.
#   bench/peers/setup.sh [vw] [river] [drift] [numpy] [continual] [tuning] [triton] [mlserver]     default: vw
# continual is PyTorch and Avalanche, 4.8 GB. drift is the River that the drift detectors are held to. tuning is Syne Tune
# and Optuna, with the PyTorch of continual. triton and mlserver are model servers.
# They go to $FRESHET_CACHE/peers (default ~/.cache/freshet/peers); done already means nothing to do.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${FRESHET_CACHE:-$HOME/.cache/freshet}/peers

install_peer() { # name, pins...
  local name=$1
  shift
  local env=$cache/$name stamp=$cache/$name/pins.txt
  if [[ -f $stamp && $(cat "$stamp") == "$*" ]]; then
    echo "peers: $name is there ($*)"
    return
  fi
  echo "peers: installing $name ($*) into $env"
  rm -rf "$env"
  mkdir -p "$cache"
  python3 -m venv "$env"
  "$env/bin/pip" install --quiet --disable-pip-version-check --no-deps "$@"
  echo "$*" >"$stamp"
}

for peer in "${@:-vw}"; do
  case $peer in
    vw) install_peer vw vowpalwabbit==9.11.9 ;;
    river) install_peer river river==0.26.1 numpy==2.4.6 scipy==1.17.1 narwhals==2.28.0 ;;
    drift) install_peer drift river==0.22.0 numpy==1.26.4 scipy==1.15.3 pandas==2.2.3 python-dateutil==2.9.0.post0 pytz==2025.2 six==1.17.0 ;;
    numpy) install_peer numpy numpy==2.4.6 ;;
    continual)
      mapfile -t pins < <(grep -v '^#' "$here/continual-requirements.txt")
      install_peer continual "${pins[@]}"
      ;;
    tuning)
      mapfile -t pins < <(grep -v '^#' "$here/continual-requirements.txt")
      install_peer continual "${pins[@]}"
      mapfile -t pins < <(grep -v '^#' "$here/tuning-requirements.txt")
      install_peer tuning "${pins[@]}"
      # What is not there itself is looked up in the other one.
      site='import sysconfig; print(sysconfig.get_path("purelib"))'
      "$cache/continual/bin/python" -c "$site" >"$("$cache/tuning/bin/python" -c "$site")/zz_continual.pth"
      ;;
    triton | mlserver)
      mapfile -t pins < <(grep -v '^#' "$here/$peer-requirements.txt")
      install_peer "$peer" "${pins[@]}"
      ;;
    *) echo "peers: unknown peer '$peer' (vw, river, drift, numpy, continual, tuning, triton, mlserver)" >&2; exit 2 ;;
  esac
done
