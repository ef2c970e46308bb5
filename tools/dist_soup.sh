#!/usr/bin/env bash
# Makes soups with several processes.
#
#   tools/dist_soup.sh CONFIG [CONFIG ...] GPUS [options of tools/soup.py]
#
# dist.sh says how several machines go, and what the environment can say. However it
# ends, the same command goes on from the last evaluation.

usage() {
    echo "usage: $0 CONFIG [CONFIG ...] GPUS [options of tools/soup.py]" >&2
    exit 2
}

CONFIGS=()
while [[ $# -gt 0 && ! $1 =~ ^[1-9][0-9]*$ ]]; do
    [[ $1 == -* ]] && usage
    CONFIGS+=("$1")
    shift
done
[[ ${#CONFIGS[@]} -gt 0 && $# -gt 0 ]] || usage

exec bash "$(dirname "${BASH_SOURCE[0]}")/dist.sh" soup.py "$1" \
    "${CONFIGS[@]}" --launcher pytorch "${@:2}"
