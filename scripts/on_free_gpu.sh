#!/usr/bin/env bash
# Run a command with -G <a GPU of this machine that no other such command holds>, waiting for one to become free.
set -eu
usage='usage: scripts/on_free_gpu.sh <GPUs of this machine; 0: the CPU> <command> [arguments]

The GPU is freed when the command ends. In a SLURM job it is always 0, since a job sees only its own.'
case ${1:-} in -h | --help) echo "$usage"; exit 0 ;; esac
if [ $# -lt 2 ] || [[ ! $1 =~ ^[0-9]+$ ]]; then echo "$usage" >&2; exit 2; fi
count=$1
shift
[ "$count" -gt 0 ] || exec "$@" -G cpu
[ -z "${SLURM_JOB_ID:-}" ] || exec "$@" -G 0 # the scheduler shows a job nothing but its own GPU
while :; do
  for ((gpu = 0; gpu < count; gpu++)); do
    exec 9> "${TMPDIR:-/tmp}/lumbar-gpu-$gpu.$UID.lock"
    if flock -n 9; then exec "$@" -G "$gpu"; fi # the command inherits the lock and holds it until it ends
  done
  sleep 1
done
