#!/bin/sh
# alive: it answers, whatever it answers; one that is loading its data says so, and must not be ended for it.
# ready: it is a member of a cluster that serves.
set -eu
: "${PASSWORD_FILE:=/run/secrets/redis/password}" "${PORT:=6379}" "${HOST:=127.0.0.1}"
if [ -r "$PASSWORD_FILE" ]; then
  REDISCLI_AUTH=$(cat "$PASSWORD_FILE")
  export REDISCLI_AUTH
fi
case $1 in
  alive) redis-cli -h "$HOST" -p "$PORT" ping 2>&1 | grep -qE '^(PONG|[A-Z]{2,} )' ;;
  ready) redis-cli -h "$HOST" -p "$PORT" cluster info 2>&1 | grep -q '^cluster_state:ok' ;;
  *) exit 2 ;;
esac
