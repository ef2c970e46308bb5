#!/usr/bin/env bash
# Trains with several processes on a SLURM cluster, a GPU each.
#
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG [WORK_DIR] [options of tools/train.py]
#
# From the environment:
#   GPUS            number of processes in all (8)
#   GPUS_PER_NODE   on each machine (8, or GPUS if that is less); 0: none, CPUs
#   CPUS_PER_TASK   cores of each process, which read images (12)
#   SRUN_ARGS       more options of srun
#   PYTHON          the interpreter (python)
#
# srun sends the signals of SLURM to the training processes: at SIGTERM they save and
# end with 0.

if [ $# -lt 3 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG [WORK_DIR] [options of tools/train.py]" >&2
    exit 2
fi

PARTITION=$1
JOB_NAME=$2
CONFIG=$3
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

RESOURCES=(--ntasks="$GPUS")
if [ "$GPUS_PER_NODE" -gt 0 ]; then
    RESOURCES+=(--ntasks-per-node="$GPUS_PER_NODE" --gres="gpu:$GPUS_PER_NODE")
    DEVICE=()
else
    DEVICE=(--device cpu) # there may be GPUs that are not this job's
fi

WORK_DIR=()
OPTIONS=("${@:4}")
if [ $# -gt 3 ] && [[ $4 != -* ]]; then
    WORK_DIR=(--work-dir "$4")
    OPTIONS=("${@:5}")
fi

# shellcheck disable=SC2086  # SRUN_ARGS is several words
PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" \
exec srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    "${RESOURCES[@]}" \
    --cpus-per-task="${CPUS_PER_TASK:-12}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$ROOT/tools/train.py" "$CONFIG" \
    --launcher slurm "${DEVICE[@]}" "${WORK_DIR[@]}" "${OPTIONS[@]}"
