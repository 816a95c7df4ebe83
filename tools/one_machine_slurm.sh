# A Slurm of this machine alone, for tests, to be sourced by a script that ends every process in ${pids[@]} and has fail().
# Needs root, slurm-wlm and munge.

# Returns when the machine takes jobs, with SLURM_CONF set. FOLDER is made.
start_slurm() {  # FOLDER
  local folder=$1 end
  mkdir -p "$folder/state" "$folder/spool"
  chmod 755 "$(dirname "$folder")" "$folder"  # munge wants to see who may change what is above its socket
  dd if=/dev/urandom of="$folder/munge.key" bs=128 count=1 status=none
  chmod 400 "$folder/munge.key"
  munged --foreground --force --key-file "$folder/munge.key" --socket "$folder/munge.socket" --pid-file "$folder/munge.pid" \
    --seed-file "$folder/munge.seed" >"$folder/munge.log" 2>&1 &
  pids+=($!)
  write_slurm_conf "$folder"
  export SLURM_CONF=$folder/slurm.conf
  end=$((SECONDS + 30))
  until [[ -S "$folder/munge.socket" ]]; do
    (( SECONDS < end )) || { cat "$folder/munge.log" >&2; fail "munged does not start"; }
    sleep 0.1
  done
  slurmctld -D -c >"$folder/slurmctld.out" 2>&1 &
  pids+=($!)
  slurmd -D -c >"$folder/slurmd.out" 2>&1 &
  pids+=($!)
  until [[ "$(sinfo --noheader --format %t 2>/dev/null)" == idle ]]; do
    (( SECONDS < end )) || { tail -n 20 "$folder"/slurm*.out >&2; fail "Slurm does not start"; }
    sleep 0.2
  done
}

write_slurm_conf() {  # FOLDER
  local folder=$1 host
  host=$(hostname -s)
  cat >"$folder/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
}
