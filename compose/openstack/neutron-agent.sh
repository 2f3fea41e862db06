#!/bin/sh
# neutron-agent MODULE [arguments]
# PID 1 of an agent that starts daemons: it reaps them, which the agent does not, and passes
# signals on. The agent finds its switch ready.
ovs-vsctl --db=tcp:127.0.0.1:6640 --retry --timeout=120 wait-until Bridge br-ex ||
    exit 1
trap 'kill -TERM "$agent"' TERM INT
python3 /etc/labctl/neutron-agent.py "$@" &
agent=$!
# A signal ends one wait, not the agent.
while :; do
    wait "$agent"
    code=$?
    kill -0 "$agent" 2>/dev/null || exit "$code"
done
