#!/usr/bin/env bash
# A SLURM of two nodes on this one machine, on loopback alone. Its files lie in one folder, but for /etc/slurm/*.conf,
# which jobs look for there whatever their environment says.
set -eu
usage='usage: tests/cluster/slurm.sh <install|start|stop> <folder>

install   the packages slurm-wlm and munge, where apt-get is
start     munged, slurmctld and one slurmd a node, unless /etc/slurm/slurm.conf is of another SLURM
stop      what start started; its configuration goes too

Environment: NODES (2), NODE_CPUS (2) and GPUS (2) of each node. The processors are claimed whatever the machine has, the
GPUs are device files that are none: enough for --gpus=1 and CUDA_VISIBLE_DEVICES.'
if [ $# != 2 ]; then echo "$usage" >&2; exit 2; fi
NODES=${NODES:-2} NODE_CPUS=${NODE_CPUS:-2} GPUS=${GPUS:-2} MARK='# lumbar test cluster'
mkdir -p "$2"
DIR=$(cd "$2" && pwd)

fail() { echo "error: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "only root can start a SLURM"

install() {
  if command -v slurmctld slurmd munged > /dev/null; then return; fi
  command -v apt-get > /dev/null || fail "no slurmctld, slurmd and munged, and no apt-get to install them with"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slurm-wlm munge; } \
    > "$DIR/apt.log" 2>&1 || fail "slurm-wlm and munge cannot be installed: $(tail -n 1 "$DIR/apt.log")"
}

refuse_foreign() { # a left-over of this script or of setup_slurm.sh, another one for tests, is none
  [ ! -s /etc/slurm/slurm.conf ] || head -n 1 /etc/slurm/slurm.conf | grep -qx -e "$MARK" -e '# setup_slurm.sh' ||
    fail "/etc/slurm/slurm.conf: this machine has a SLURM of its own"
}

name_hosts() { # the daemons listen on the address of this machine's name, torchrun looks nodes up by theirs
  case $(getent ahostsv4 "$1" | awk 'NR == 1 {print $1}') in 127.*) ;; *) echo "127.0.0.1 $1 $MARK" >> /etc/hosts ;; esac
  for ((i = 1; i <= NODES; i++)); do
    getent hosts "node$i" > /dev/null || echo "127.0.0.1 node$i $MARK" >> /etc/hosts
  done
}

configure() {
  mkdir -p /etc/slurm "$DIR/ctld"
  cat > /etc/slurm/slurm.conf << CONF
$MARK
ClusterName=lumbar
SlurmctldHost=$1(127.0.0.1)
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$DIR/munge.socket
StateSaveLocation=$DIR/ctld
SlurmdSpoolDir=$DIR/%n
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/%n.pid
SlurmctldLogFile=$DIR/slurmctld.log
SlurmdLogFile=$DIR/%n.log
SlurmctldPort=26817
SrunPortRange=60001-60999
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=30
OverTimeLimit=0
GresTypes=gpu
CONF
  : > /etc/slurm/gres.conf
  echo "ConstrainCores=no" > /etc/slurm/cgroup.conf
  for ((i = 1; i <= NODES; i++)); do
    mkdir -p "$DIR/node$i"
    echo "NodeName=node$i NodeHostname=$1 NodeAddr=127.0.0.1 Port=$((27000 + i)) CPUs=$NODE_CPUS RealMemory=64000" \
      "Gres=gpu:$GPUS State=UNKNOWN" >> /etc/slurm/slurm.conf
    echo "NodeName=node$i Name=gpu File=/dev/tty[$((i * 10))-$((i * 10 + GPUS - 1))]" >> /etc/slurm/gres.conf
  done
  echo "PartitionName=cpu Nodes=ALL Default=YES State=UP" >> /etc/slurm/slurm.conf
  echo "PartitionName=gpu Nodes=ALL State=UP" >> /etc/slurm/slurm.conf
}

start() {
  refuse_foreign
  stop
  name_hosts "$(hostname -s)"
  configure "$(hostname -s)"
  [ -s "$DIR/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom > "$DIR/munge.key")
  munged --force --key-file="$DIR/munge.key" --socket="$DIR/munge.socket" --pid-file="$DIR/munged.pid" \
    --log-file="$DIR/munged.log" --seed-file="$DIR/munged.seed" 2> "$DIR/munged.err" || fail "$(cat "$DIR/munged.err")"
  slurmctld
  for ((i = 1; i <= NODES; i++)); do slurmd -N "node$i"; done
  for _ in $(seq 100); do
    [ "$(sinfo -h -t idle -o %D -p cpu 2> /dev/null)" != "$NODES" ] || return 0
    sleep 0.2
  done
  fail "the nodes did not come up: $(tail -n 3 "$DIR"/*.log)"
}

alive() { # by its pid file, which a daemon removes when it ends; a zombie is dead
  pid=$(cat "$1" 2> /dev/null) && case $(ps -o stat= -p "$pid") in "" | Z*) false ;; esac
}
stop() {
  if grep -qsx "$MARK" /etc/slurm/slurm.conf; then rm /etc/slurm/{slurm,gres,cgroup}.conf; fi
  for file in "$DIR"/node*.pid "$DIR/slurmctld.pid" "$DIR/munged.pid"; do
    if alive "$file"; then kill "$pid"; fi
    for _ in $(seq 100); do alive "$file" || break; sleep 0.1; done
    if alive "$file"; then kill -9 "$pid"; fi
  done
  if grep -q "$MARK" /etc/hosts; then # in place: a container's file cannot be replaced
    hosts=$(grep -v "$MARK" /etc/hosts)
    echo "$hosts" > /etc/hosts
  fi
}

case $1 in
  install | start | stop) "$1" ;;
  *) echo "$usage" >&2; exit 2 ;;
esac
