# Asks HOST:PORT whether it is ready, then for what MODEL takes and gives; gives up after SECONDS_MAX.
set -u

# get PATH: prints the answer's body; fails unless the status is 200.
get() {
  local status line
  exec 3<>"/dev/tcp/$HOST/$PORT" || return 1
  printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$HOST" >&3
  read -r -t 5 -u 3 _ status _ || return 1
  while read -r -t 5 -u 3 line && [[ $line != $'\r' ]]; do :; done
  cat <&3
  exec 3>&-
  echo
  [[ $status == 200 ]]
}

end=$((SECONDS + SECONDS_MAX))
until get /v2/health/ready 2>/dev/null; do
  if ((SECONDS >= end)); then
    echo "not ready after $SECONDS_MAX s at $HOST:$PORT" >&2
    exit 1
  fi
  sleep 1
done
if ! get "/v2/models/$MODEL"; then
  echo "$HOST:$PORT is ready but does not describe the model $MODEL" >&2
  exit 1
fi
