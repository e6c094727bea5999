#!/bin/sh
# A cluster of one node in namespaces of its own, whose oci.conf names a runtime: RUNTIME DIRECTORY.
set -u
runtime=$1 dir=$2
mkdir -p "$dir/rootfs/bin"
cp /bin/busybox "$dir/rootfs/bin"
for name in hostname sh sleep; do
    ln -s busybox "$dir/rootfs/bin/$name"
done
"$runtime" spec --bundle "$dir"
sed -i 's/"terminal": true/"terminal": false/' "$dir/config.json"
mount -t tmpfs tmpfs /run
mkdir -p /run/munge /run/state /run/spool /run/containers
# Names are looked for only where there is an address beside those of the loopback interface.
ip link set lo up
ip link add one type veth peer name two
ip address add 192.0.2.1/24 dev one
ip link set one up
ip link set two up
hostname node
printf '127.0.0.1 localhost\n192.0.2.1 node\n' >/run/hosts
mount --bind /run/hosts /etc/hosts
mount -t tmpfs tmpfs /etc/slurm

head -c 1024 /dev/urandom >/run/munge.key
chmod 600 /run/munge.key
munged -F --force --key-file=/run/munge.key --socket=/run/munge/munge.socket.2 --pid-file=/run/munged.pid \
    --log-file=/run/munged.log --seed-file=/run/munge.seed 2>/dev/null &
cat >/etc/slurm/slurm.conf <<END
ClusterName=one
SlurmctldHost=node
AuthType=auth/munge
AuthInfo=socket=/run/munge/munge.socket.2
SlurmUser=root
MailProg=/bin/true
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/linear
SchedulerType=sched/builtin
SlurmdParameters=config_overrides
StateSaveLocation=/run/state
SlurmdSpoolDir=/run/spool
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/run/slurmctld.log
SlurmdLogFile=/run/slurmd.log
ReturnToService=2
KillWait=2
NodeName=node CPUs=1 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
END
cat >/etc/slurm/oci.conf <<END
ContainerPath="/run/containers/%n.%j.%s.%t"
CreateEnvFile=true
RunTimeQuery="$runtime --root=$dir/state state %n.%j.%s.%t"
RunTimeKill="$runtime --root=$dir/state kill --all %n.%j.%s.%t"
RunTimeDelete="$runtime --root=$dir/state delete --force %n.%j.%s.%t"
RunTimeRun="exec $runtime --root=$dir/state run %n.%j.%s.%t --bundle %b"
END

# Until a condition holds; what is wrong shows later.
soon() {
    for _ in $(seq 300); do
        timeout 5 sh -c "$1" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "not in time: $1"
}
soon 'test -S /run/munge/munge.socket.2'
slurmctld -D >/dev/null 2>&1 &
slurmd -D -N node >/dev/null 2>&1 &
soon 'sinfo --noheader --format=%T | grep -q idle'

timeout 60 srun --quiet --container="$dir" /bin/sh -c 'echo step $(hostname) $SLURM_JOB_ID; exit 7' 2>/run/said
echo "status $?"
# One that is cancelled goes as well.
timeout 60 srun --verbose --job-name=long --container="$dir" \
    /bin/sh -c 'trap exit TERM; echo ready; while :; do sleep 0.1; done' >/run/ready 2>&1 &
# The first process of a pid namespace is not told of a signal that it does not await, and what Slurm does not know to run it forgets.
soon 'grep -q ready /run/ready && grep -q "tasks started" /run/ready'
echo "running $("$runtime" --root="$dir/state" list --quiet)"
timeout 10 scancel --name=long
soon "test -z \"\$('$runtime' --root='$dir/state' list --quiet)\""
echo "left <$("$runtime" --root="$dir/state" list --quiet)>"
sed 's/^/# /' /run/said
grep -h 'error: ' /run/slurmctld.log /run/slurmd.log | sed 's/^/# /'
