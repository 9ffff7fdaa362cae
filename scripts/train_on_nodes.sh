#!/usr/bin/env bash
#SBATCH --ntasks-per-node=1
# One training over all nodes and GPUs of a SLURM job.
set -eu
usage='usage: sbatch --nodes <n> [--gpus-per-node <n>] [--cpus-per-task <n>] scripts/train_on_nodes.sh -C <config> [options]

The options are those of train.py; it resumes when submitted again. Without GPUs each node is one rank.'
case ${1:-} in -h | --help) echo "$usage"; exit 0 ;; esac
if [ $# = 0 ] || [ -z "${SLURM_JOB_NODELIST:-}" ]; then echo "$usage" >&2; exit 2; fi
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000)) # the job's own: two jobs with the same first node do not meet
exec srun --cpus-per-task "${SLURM_CPUS_PER_TASK:-1}" torchrun \
  --nnodes "$SLURM_NNODES" --nproc_per_node "${SLURM_GPUS_ON_NODE:-1}" \
  --rdzv_backend c10d --rdzv_id "$SLURM_JOB_ID" --rdzv_endpoint "$first:$port" train.py --resume_training True "$@"
