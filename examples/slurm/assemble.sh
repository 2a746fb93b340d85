#!/usr/bin/env bash
# After all shards: sbatch --dependency=afterany:JOB assemble.sh
#SBATCH --job-name=harness-assemble
#SBATCH --ntasks=1
#SBATCH --mem=4G
#SBATCH --time=00:30:00
set -euo pipefail

harness leaderboard assemble shards/* --out results
harness leaderboard show results
