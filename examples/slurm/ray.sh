#!/usr/bin/env bash
# One run on several nodes: sbatch --nodes=8 ray.sh [OPTIONS OF harness evaluate].
#SBATCH --job-name=harness-ray
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-task=8
#SBATCH --mem=0
#SBATCH --time=04:00:00
set -euo pipefail

head="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"
port="$((20000 + SLURM_JOB_ID % 20000))" # two jobs on one node must not share it
# `symmetric-run` starts Ray on every node, waits for all of them, and runs the command on the head node.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" ray symmetric-run --address "$head:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "${SLURM_GPUS_ON_NODE:-0}" -- \
    harness evaluate "$@" --executor ray --ray-address "$head:$port" --out results
