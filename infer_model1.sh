#!/usr/bin/env bash
# Out-of-fold inference: each fold's own patients with the network that has not seen them, on all GPUs.
set -u
usage() {
  cat <<'EOF'
usage: ./infer_model1.sh <inference config> <trained config> [--folds 0 1 2 3] [--gpus 0 1] [--seed N]
                         [--allow-missing] [--weights_dir DIR] [--key value ...]

  ./infer_model1.sh cfg_dh_05b5_loc_test2 cfg_dh_05b5_loc

For each fold: the trained config's newest checkpoint (or that of --seed) into
train.py -C <inference config> --fold k --pretrained_weights <checkpoint>. --gpus: default all; '' or cpu is the CPU.
A fold without a checkpoint is an error, and with --allow-missing left out. Other keys go to train.py.
EOF
}
for word in "$@"; do case $word in -h | --help) usage; exit 0 ;; esac; done
if [ $# -lt 2 ] || [[ $1 == -* || $2 == -* ]]; then usage >&2; exit 2; fi
inference=$1 trained=$2
shift 2
folds="0 1 2 3" seed=-1 weights=weights allow_missing= passed_on=()
if gpus=$(nvidia-smi --query-gpu=index --format=csv,noheader 2> /dev/null); then gpus=${gpus//$'\n'/ }; else gpus=cpu; fi
while [ $# -gt 0 ]; do
  case $1 in
    --allow-missing) allow_missing=$1; shift; continue ;;
    --folds | --gpus) # as many words as there are; one word for all, "0 1" or 0,1, is read too
      option=$1 words=
      shift
      while [[ $# -gt 0 && $1 =~ ^(-?[0-9]|cpu$|$) ]]; do words+=" ${1//,/ }"; shift; done
      if [ "$option $words" = "--folds " ]; then echo "error: option --folds: its value is missing" >&2; exit 2; fi
      if [ "$option" = --folds ]; then folds=$words; else gpus=$words; fi
      continue
      ;;
    -D | --*=*) passed_on+=("$1"); shift; continue ;;
  esac
  [ $# -ge 2 ] || { echo "error: option $1: its value is missing" >&2; exit 2; }
  case $1 in
    --seed) seed=$2 ;;
    --weights_dir) weights=$2 ;;
    *) passed_on+=("$1" "$2") ;;
  esac
  shift 2
done

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
read -ra folds <<< "$folds"
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
checkpoints=$("${PYTHON:-python}" -m lumbar.engine.runs "$weights/$trained" "${folds[@]}" --seed "$seed" $allow_missing) || exit
echo "$checkpoints"
found=$(sed -n 's/^fold \(.*\): .*/\1/p' <<< "$checkpoints")
exec "$here/train_parallel.sh" "${found//$'\n'/ }" "$gpus" -C "$inference" --weights_dir "$weights" --seed "$seed" \
  --pretrained_weights "$weights/$trained/fold{fold}" ${passed_on[@]+"${passed_on[@]}"}
