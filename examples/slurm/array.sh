#!/usr/bin/env bash
# One shard a task: sbatch --array=1-32 array.sh [OPTIONS OF harness evaluate], then assemble.sh.
#SBATCH --job-name=harness
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --ntasks=1
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --output=harness-%A-%a.log
set -euo pipefail

# Every shard has its own results, and all share one cache: features that one has encoded, others read.
export HARNESS_CACHE="${HARNESS_CACHE:-$PWD/cache}"
shard="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
harness evaluate "$@" --shard "$shard" --out "shards/$SLURM_ARRAY_TASK_ID" --workers "${SLURM_CPUS_PER_TASK:-1}"
