#!/usr/bin/env bash
# Trains with several processes.
#
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# dist.sh says how several machines go, and what the environment can say.

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi

exec bash "$(dirname "${BASH_SOURCE[0]}")/dist.sh" train.py "$2" \
    "$1" --launcher pytorch "${@:3}"
