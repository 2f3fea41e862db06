#!/bin/sh
# neutron-keepalived-state-change [arguments]
# In place of Neutron's own, which loads all of Neutron for each router: hands its arguments to a
# process that has it loaded and forks (beside.py), and waits like the original until it is started.
# The arguments hold no spaces.
for argument; do
    case $argument in --pid_file=*) pid_file=${argument#--pid_file=} ;; esac
done
echo "$*" >/run/neutron/watchers || exit 1
tries=100
until [ -s "$pid_file" ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || exit 1
    sleep 0.1
done
