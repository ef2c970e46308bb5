#!/usr/bin/env bash
# Starts a tool in several processes: on one machine, or the same command on each of
# several.
#
#   tools/dist.sh TOOL GPUS CONFIG --launcher pytorch [options of the tool]
#
# TOOL is a file of tools/, GPUS the number of processes on this machine. From the
# environment:
#   NNODES, NODE_RANK, MASTER_ADDR, PORT   several machines; on one, PORT need not be
#                                          given: a free one is taken
#   MAX_RESTARTS                           how often all processes are started anew
#                                          after one has died (0)
#   TORCH_ELASTIC_SHUTDOWN_TIMEOUT         how many seconds the others then have for
#                                          saving (60; older torch: 30 always)
#   PYTHON                                 the interpreter (python)
#
# SIGTERM to this script reaches the processes of the tool, and not torchrun, which
# would kill them after a time of its own and fail: they save and end, and the script
# with 0.

if [ $# -lt 3 ]; then
    echo "usage: $0 TOOL GPUS CONFIG --launcher pytorch [options of the tool]" >&2
    exit 2
fi

TOOL=$1
GPUS=$2
shift 2
if ! [[ $GPUS =~ ^[1-9][0-9]*$ ]]; then
    echo "error: GPUS=$GPUS: expected the number of processes on this machine" >&2
    exit 2
fi
NNODES=${NNODES:-1}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ "$NNODES" = 1 ] && [ -z "${PORT:-}" ]; then
    # The name of a machine need not resolve on it.
    WHERE=(--standalone --local-addr=127.0.0.1)
else
    WHERE=(
        --nnodes="$NNODES"
        --node-rank="${NODE_RANK:-0}"
        --master-addr="${MASTER_ADDR:-127.0.0.1}"
        --master-port="${PORT:-29500}"
    )
fi

if [ "$GPUS" != 1 ]; then
    # As torchrun and MMEngine would, which warn of it in every process.
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
    export MKL_NUM_THREADS=${MKL_NUM_THREADS:-$OMP_NUM_THREADS}
fi

# $! is torchrun, from the moment that there is one. Which processes has it started? ps
# is not in every image, nor is /proc everywhere.
workers() {
    local file line fields
    if [ ! -r /proc/self/stat ]; then
        ps -A -o pid=,ppid= | while read -r -a fields; do
            if [ "${fields[1]}" = "$!" ]; then echo "${fields[0]}"; fi
        done
        return
    fi
    for file in /proc/[0-9]*/stat; do
        { line=$(<"$file"); } 2>/dev/null || continue # it has just ended
        read -r -a fields <<<"${line##*) }" # past the name, in which anything may be
        if [ "${fields[1]}" = "$!" ]; then echo "${line%% *}"; fi
    done
}

terminate() {
    local pids
    if [ -z "$!" ]; then exit 143; fi
    pids=$(workers)
    # shellcheck disable=SC2086  # one word a process
    kill -TERM ${pids:-$!} 2>/dev/null
}

interrupt() {
    INTERRUPTED=1
    if [ -z "$!" ]; then exit 130; fi
    kill -INT $! 2>/dev/null # which passes it on
}

trap terminate TERM HUP
trap interrupt INT

# A process group of its own: Ctrl-C and what is sent to a whole group come here alone.
set -m
PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" \
TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-60} \
"${PYTHON:-python}" "$ROOT/tools/torchrun.py" \
    "${WHERE[@]}" \
    --nproc-per-node="$GPUS" \
    --max-restarts="${MAX_RESTARTS:-0}" \
    "$ROOT/tools/$TOOL" "$@" &
set +m

# A signal ends the waiting, not what is waited for.
while true; do
    wait $!
    CODE=$?
    kill -0 $! 2>/dev/null || break
done
# It may have ended between the two; 127: it had not, and its code is known.
wait $! 2>/dev/null
LAST=$?
if [ $LAST != 127 ]; then CODE=$LAST; fi
if [ -n "${INTERRUPTED:-}" ]; then CODE=130; fi
exit "$CODE"
