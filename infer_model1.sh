#!/usr/bin/env bash
# Out-of-fold inference: each fold's own patients with the network that has not seen them, on all GPUs.
set -u
usage() {
  cat <<'EOF'
usage: ./infer_model1.sh <inference config> <trained config> [--folds 0 1 2 3] [--gpus 0 1] [--seed N]
                         [--allow-missing] [--weights_dir DIR] [--key value ...]

  ./infer_model1.sh cfg_dh_05b5_loc_test2 cfg_dh_05b5_loc

For each fold: the trained config's newest checkpoint (or that of --seed) into
train.py -C <inference config> --fold k --pretrained_weights <checkpoint>, on the GPUs that train_parallel.sh takes.
A fold without a checkpoint is an error, and with --allow-missing left out. Other keys go to train.py.
EOF
}
for word in "$@"; do case $word in -h | --help) usage; exit 0 ;; esac; done
if [ $# -lt 2 ] || [[ $1 == -* || $2 == -* ]]; then usage >&2; exit 2; fi
inference=$1 trained=$2
shift 2
folds="0 1 2 3" seed=-1 weights=weights allow_missing= option= passed_on=()
for word in "$@"; do
  case $word in
    --folds) option=$word folds= ;;
    --seed) option=$word seed= ;;
    --weights_dir) option=$word weights= ;;
    --allow-missing) option= allow_missing=$word ;;
    -[!0-9]*) option= passed_on+=("$word") ;;
    *)
      case $option in
        --folds) folds+=" ${word//,/ }" ;;
        --seed) seed=$word ;;
        --weights_dir) weights=$word ;;
        *) passed_on+=("$word") ;;
      esac
      ;;
  esac
done
missing() { echo "error: option $1: its value is missing" >&2; exit 2; }
[ -n "${folds// /}" ] || missing --folds
[ -n "$seed" ] || missing --seed
[ -n "$weights" ] || missing --weights_dir
if [[ ${!#} == --* && ${!#} != --allow-missing && ${!#} != --*=* ]]; then missing "${!#}"; fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
read -ra folds <<< "$folds"
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
checkpoints=$("${PYTHON:-python}" -m lumbar.engine.runs "$weights/$trained" "${folds[@]}" --seed "$seed" $allow_missing) || exit
echo "$checkpoints"
found=$(sed -n 's/^fold \(.*\): .*/\1/p' <<< "$checkpoints")
exec "$here/train_parallel.sh" --folds "${found//$'\n'/ }" -C "$inference" --weights_dir "$weights" --seed "$seed" \
  --pretrained_weights "$weights/$trained/fold{fold}" ${passed_on[@]+"${passed_on[@]}"}
