#!/bin/sh
# Makes one cluster of the nodes named as host:port, half of them replicas; does nothing where there is one already.
set -eu
: "${REDIS_CLI:=redis-cli}"

state() { "$REDIS_CLI" -h "${1%:*}" -p "${1#*:}" cluster info | tr -d '\r' | grep -E '^cluster_(state:ok|slots_assigned:16384)$' | wc -l; }

# A node that knows others was in a cluster before: those come back by themselves, and must not be created again.
known=$("$REDIS_CLI" -h "${1%:*}" -p "${1#*:}" cluster info | tr -d '\r' | sed -n 's/^cluster_known_nodes://p')
if [ "$known" = 1 ]; then
  "$REDIS_CLI" --cluster create "$@" --cluster-replicas 1 --cluster-yes
fi

# That command is done before the nodes are.
tries=0
for node in "$@"; do
  until [ "$(state "$node")" = 2 ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 120 ]; then
      echo "$node does not find the cluster ok after a minute" >&2
      exit 1
    fi
    sleep 0.5
  done
done
echo "cluster of $# nodes: ok"
