#!/usr/bin/env bash
# Requests per second and latency of inference over HTTP, with wrk, at 1 and at 16 connections, batch 1 and 64.
#
#   bench/http_bench.sh                       the bare server (build/release/bench/http_server_bench, 1 thread)
#   bench/http_bench.sh URL BODY.json         any server, e.g. http://localhost:8080/v2/models/flights/infer
#
# SECONDS_EACH (default 5) is the time of each measurement.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$scratch"' EXIT

# infer_body ROWS: a request for the bare server.
infer_body() {
  local rows=$1 name separator=
  repeat() { local out=$1 i; for ((i = 1; i < rows; ++i)); do out+=",$1"; done; printf '%s' "$out"; }
  printf '{"id":"1","inputs":['
  for name in distance temp humid wind_speed visib seats; do
    printf '%s{"name":"%s","shape":[%s],"datatype":"FP32","data":[%s]}' "$separator" "$name" "$rows" "$(repeat 59.25)"
    separator=,
  done
  for name in carrier origin dest tailnum; do
    printf ',{"name":"%s","shape":[%s],"datatype":"BYTES","data":[%s]}' "$name" "$rows" "$(repeat '"N14228"')"
  done
  printf ',{"name":"ts","shape":[%s],"datatype":"BYTES","data":[%s]}]}' "$rows" "$(repeat '"2013-01-01T05:00:00Z"')"
}

# measure TITLE URL BODY CONNECTIONS
measure() {
  cat > "$scratch/post.lua" <<LUA
local file = io.open("$3"); wrk.body = file:read("*a"); file:close()
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
LUA
  echo "== $1, $4 connection(s)"
  wrk -t1 -c"$4" -d"${SECONDS_EACH:-5}" --latency -s "$scratch/post.lua" "$2" |
    grep -E 'Requests/sec|50%|99%|Non-2xx|Socket errors' || true
}

if [ $# -ge 2 ]; then
  for connections in 1 16; do measure "$1" "$1" "$2" "$connections"; done
  exit
fi
build/release/bench/http_server_bench > "$scratch/port" &
server=$!
until [ -s "$scratch/port" ]; do kill -0 "$server"; done
url=http://127.0.0.1:$(cat "$scratch/port")/v2/models/bench/infer
for rows in 1 64; do
  infer_body "$rows" > "$scratch/body.json"
  for connections in 1 16; do measure "batch $rows" "$url" "$scratch/body.json" "$connections"; done
done
