# Asks HOST:PORT whether it is ready, then for what MODEL takes and gives; gives up after SECONDS_MAX. SCHEME is HTTP or HTTPS;
# TOKENS, where there is one, names a file of tokens.
set -u

header=
if [[ -n ${TOKENS:-} ]]; then
  header="Authorization: Bearer $(grep -v -m 1 -E '^(#|$)' "$TOKENS")"$'\r\n'
fi

# say: sends its input to the server and prints the answer.
say() {
  if [[ $SCHEME == HTTPS ]]; then
    timeout 10 openssl s_client -quiet -connect "$HOST:$PORT" -servername "$HOST" 2>/dev/null
  else
    exec 3<>"/dev/tcp/$HOST/$PORT" || return 1
    cat >&3
    timeout 10 cat <&3
    exec 3>&-
  fi
}

# get PATH: prints the answer's body; fails unless the status is 200.
get() {
  local answer
  answer=$(printf 'GET %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n' "$1" "$HOST" "$header" | say)
  echo "${answer#*$'\r\n\r\n'}"
  [[ $answer == 'HTTP/1.1 200 '* ]]
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
