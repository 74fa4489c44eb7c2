#!/bin/sh
# Starts the node of this pod, also where it, or every pod, has come back with another address. Nodes know each other by addresses
# alone, and keep them in nodes.conf; beside each stands the name that the node has announced, and names outlive a pod. So each
# line gets the address that its name has now. Of two that have moved, the one that starts later finds the other, and tells it.
set -eu
: "${POD_IP:?}" "${POD_HOSTNAME:?}"
: "${CONF:=/etc/redis/node.conf}" "${DATA:=/data}" "${RUN:=/run/redis}" "${PASSWORD_FILE:=/run/secrets/redis/password}"
: "${REDIS_SERVER:=redis-server}" "${RESOLVE:=getent hosts}"

# Where all have failed at once, a node's name may not be known yet, or still be known with the old address: then it stays as it is.
readdress() {
  while read -r id address rest; do
    place=${address%%,*}
    name=$(printf %s "$address" | cut -s -d, -f2)
    now=
    [ -z "$name" ] || now=$($RESOLVE "$name" 2>/dev/null | awk 'NR == 1 { print $1 }') || true
    [ "$name" != "$POD_HOSTNAME" ] || now=$POD_IP
    [ -z "$now" ] || address="$now:${place##*:}${address#"$place"}"
    printf '%s %s %s\n' "$id" "$address" "$rest"
  done
}
if [ -s "$DATA/nodes.conf" ]; then
  readdress <"$DATA/nodes.conf" >"$DATA/nodes.conf.new"
  mv "$DATA/nodes.conf.new" "$DATA/nodes.conf"
fi

# In memory, readable by nobody else: the password must not stand in a list of processes.
umask 077
{
  printf 'include %s\ndir %s\n' "$CONF" "$DATA"
  printf 'cluster-announce-ip %s\ncluster-announce-hostname %s\n' "$POD_IP" "$POD_HOSTNAME"
  if [ -r "$PASSWORD_FILE" ]; then
    password=$(sed 's/[\\"]/\\&/g' "$PASSWORD_FILE")
    printf 'requirepass "%s"\nmasterauth "%s"\n' "$password" "$password"
  fi
} >"$RUN/redis.conf"
exec "$REDIS_SERVER" "$RUN/redis.conf"
