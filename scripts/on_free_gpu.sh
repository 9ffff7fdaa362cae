#!/usr/bin/env bash
# Run a command with -G <a GPU of this machine that no other such command holds>, waiting for one to become free.
set -eu
usage='usage: scripts/on_free_gpu.sh <GPUs of this machine; 0: the CPU> <command> [arguments]

The GPU is freed when the command ends. In a SLURM job the GPUs are those that CUDA_VISIBLE_DEVICES shows.'
case ${1:-} in -h | --help) echo "$usage"; exit 0 ;; esac
if [ $# -lt 2 ] || [[ ! $1 =~ ^[0-9]+$ ]]; then echo "$usage" >&2; exit 2; fi
count=$1 job=${SLURM_JOB_ID:-}
shift
[ "$count" -gt 0 ] || exec "$@" -G cpu
if [ -n "$job" ] && [ -n "${CUDA_VISIBLE_DEVICES:-}" ]; then # a job's GPUs are numbered from 0, and are its own
  IFS=, read -ra shown <<< "$CUDA_VISIBLE_DEVICES"
  count=${#shown[@]}
fi
while :; do
  for ((gpu = 0; gpu < count; gpu++)); do
    exec 9> "${TMPDIR:-/tmp}/lumbar-gpu-$gpu.$UID${job:+.$job}.lock"
    if flock -n 9; then exec "$@" -G "$gpu"; fi # the command inherits the lock and holds it until it ends
  done
  sleep 1
done
