#!/usr/bin/env bash
# Train several folds side by side, one train.py per fold; fold i runs on GPU i mod n, each GPU's folds one by one.
set -u
usage() {
  cat <<'EOF'
usage: ./train_parallel.sh [--folds 0 1 2 3] [--gpus 0 1] -C <config> [--key value ...]

  ./train_parallel.sh --folds 0 1 2 3 --gpus 0 1 2 3 -C cfg_dh_05b5_loc       four folds on four GPUs
  ./train_parallel.sh --folds -1 -1 -1 -1 --gpus 0 1 -C cfg_dh_29a2           four seeds on all patients, two at a time
  ./train_parallel.sh --folds 0 1 --gpus cpu -C cfg_dh_05b5_loc --img_size 64 one by one on the CPU (cpu cpu: two at a
                                                                              time)

By default folds 0 1 2 3 on all GPUs; '' or cpu means the CPU. A list may also be one word, "0 1" or 0,1, and the two
may stand first without their names: ./train_parallel.sh "0 1" "4 7" -C <config>. All else goes to train.py. Waits for
all folds; the exit status is 1 if any failed. The output of each goes to a log file that is named at the start. When
stopped (Ctrl-C, SIGTERM) every fold saves, and goes on when this is run again with --resume_training True.
EOF
}
for word in "$@"; do case $word in -h | --help) usage; exit 0 ;; esac; done
if [[ $# -ge 4 && $1 =~ ^-?[0-9] ]]; then set -- --folds "$1" --gpus "${@:2}"; fi
if [[ ${1-} != -[!0-9]* ]]; then usage >&2; exit 2; fi
folds="0 1 2 3" option= config= passed_on=()
if gpus=$(nvidia-smi --query-gpu=index --format=csv,noheader 2> /dev/null); then gpus=${gpus//$'\n'/ }; else gpus=cpu; fi
for word in "$@"; do
  case $word in
    --folds) option=$word folds= ; continue ;;
    --gpus) option=$word gpus= ; continue ;;
    -[!0-9]*) option=$word ;;
    *)
      case $option in
        --folds) folds+=" $word"; continue ;;
        --gpus) gpus+=" $word"; continue ;;
        -C) config=$word ;;
      esac
      ;;
  esac
  passed_on+=("$word")
done
read -ra folds <<< "${folds//,/ }"
read -ra gpus <<< "${gpus//,/ }"
[ ${#gpus[@]} -gt 0 ] || gpus=(cpu)
[ ${#folds[@]} -gt 0 ] || { echo "error: option --folds: its value is missing" >&2; exit 2; }
[ -n "$config" ] || { echo "error: option -C <config> is missing" >&2; exit 2; }
set -- "${passed_on[@]}"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
logs=runs/$config/$(date +%Y%m%d-%H%M%S)-$$
mkdir -p "$logs"
stopped=
trap 'stopped=1; kill -TERM $(jobs -p) 2> /dev/null' INT TERM

run_on_slot() { # every n-th fold, one after the other, on GPU number $1 of the list
  local slot=$1 child= i
  shift
  trap '[ -z "$child" ] || kill -TERM "$child" 2> /dev/null; stopped=1' TERM
  for ((i = slot; i < ${#folds[@]} && ${#stopped} == 0; i += ${#gpus[@]})); do
    "${PYTHON:-python}" "$here/train.py" -G "${gpus[slot]}" "$@" --fold "${folds[i]}" > "$logs/$i-fold${folds[i]}.log" 2>&1 &
    child=$!
    while kill -0 "$child" 2> /dev/null; do wait "$child"; done # a signal ends one wait, not the fold
    wait "$child"
    echo $? > "$logs/$i.status"
  done
}
for slot in "${!gpus[@]}"; do
  [ "$slot" -lt ${#folds[@]} ] || continue
  run_on_slot "$slot" "$@" &
done
for i in "${!folds[@]}"; do echo "fold ${folds[i]} on ${gpus[i % ${#gpus[@]}]}: $logs/$i-fold${folds[i]}.log"; done
while [ -n "$(jobs -rp)" ]; do wait; done

failed=0
for i in "${!folds[@]}"; do
  log=$logs/$i-fold${folds[i]}.log
  status=$(cat "$logs/$i.status" 2> /dev/null || echo "not started")
  last=$(tr '\r' '\n' < "$log" 2> /dev/null | grep -v '^ *$' | tail -n 1)
  if [ "$status" = 0 ]; then echo "$last"; continue; fi
  failed=1
  echo "error: fold ${folds[i]} failed (exit status $status): $last [$log]" >&2
done
exit $failed
