#!/usr/bin/env bash
# Eight minutes on one GPU: does what was built on CPUs do the same there, and how fast?
#
#   tools/benchmarks/gpu_check.sh [--out FILE] [--only NAME ...] [--device cpu]
#
# Writes gpu_check.json, says what failed, and ends with 1 if anything has. With
# --device cpu all is done in small on the CPU, which shows that the script works. PYTHON
# names the interpreter.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# So that a process that has looked for a GPU can still be forked: checks import once.
export PYTORCH_NVML_BASED_CUDA_CHECK=1
case " $* " in
*" --device cpu "* | *" --device=cpu "*) export CUDA_VISIBLE_DEVICES=-1 ;;
esac

PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" \
    exec "${PYTHON:-python}" "$ROOT/tools/benchmarks/gpu_check.py" "$@"
