#!/usr/bin/env bash
# Trains on several processes as clusters start them, and holds the runs to what the README promises of them: by mpirun
# (openmpi-bin), by torchrun (python3-torch) and by hand they end where one process ends that has the whole batch; go on with
# another number of ranks; and when a rank is killed, stopped or told to end, all end within the limit, and the run goes on.
# So do the ranks of every command that shares clips, in the middle of their shares.
#   tools/cluster_test.sh [--build DIR] [--all | --only NAME...]
# NAME: mpirun torchrun hand killed hung sigterm embed [these]; by hand, on a machine that does nothing else, also jobs (all
# commands that share clips) and, as root, slurm (slurm-wlm, munge) and, on three hosts that are network namespaces (iproute2),
# cut lost slow. --all: all of them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$here/build/release only=()
quick=(mpirun torchrun hand killed hung sigterm embed) by_hand=(jobs slurm cut lost slow)
while (( $# > 0 )); do
  case $1 in
    --build) build=$(cd "$2" && pwd); shift 2 ;;
    --all) only=("${quick[@]}" "${by_hand[@]}"); shift ;;
    --only) shift; while (( $# > 0 )) && [[ $1 != --* ]]; do only+=("$1"); shift; done ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
done
(( ${#only[@]} > 0 )) || only=("${quick[@]}")
wanted() { local name; for name in "${only[@]}"; do [[ $name != "$1" ]] || return 0; done; return 1; }

cavmae=$build/cavmae
[[ -x "$cavmae" ]] || { echo "$cavmae is not built" >&2; exit 2; }
tools=(python3)
! wanted mpirun || tools+=(mpirun)
! wanted torchrun || tools+=(torchrun)
! wanted slurm || tools+=(munged slurmctld slurmd srun sbatch)
if wanted cut || wanted lost || wanted slow; then tools+=(ip tc); fi
PATH=$PATH:/usr/sbin
for tool in "${tools[@]}"; do
  command -v "$tool" >/dev/null && continue
  echo "$tool is not installed: tools/install_dependencies.sh --tests, and for --all apt-get install slurm-wlm munge iproute2" >&2
  [[ "${CI:-}" == true ]] && exit 1 || exit 77
done
work=$(mktemp -d)
pids=() namespaces=() jobs_of_slurm=()
cleanup() {
  local pid namespace job
  for job in "${jobs_of_slurm[@]}"; do timeout 20 scancel --name "$job" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null || true; done
  for namespace in "${namespaces[@]}"; do ip netns delete "$namespace" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*" >&2; tail -n 5 "$work"/err.* >&2 2>/dev/null || true; exit 1; }

cat >"$work/tiny.json" <<'JSON'
{"epochs": 6, "log_interval_steps": 1, "validate_every_epochs": 3,
 "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 64, "embed_dim": 64, "num_heads": 2,
           "modality_depth": 1, "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
 "data": {"window_seconds": 1.0}, "loader": {"num_workers": 1}, "schedule": {"lr": 1e-3}}
JSON
"$cavmae" synth --out "$work/clips" --clips 20 --seconds 1 --quiet >/dev/null
new_run=(pretrain --config "$work/tiny.json" --data "$work/clips" --val "$work/clips" --cache "$work/cache" --no-report --threads 1)

# One process, which is given five minutes.
run_alone() {  # NAME ARGUMENTS...
  local name=$1 code=0
  shift
  timeout --kill-after 10 300 "$cavmae" "$@" >"$work/out.$name" 2>"$work/err.$name" || code=$?
  (( code == 0 )) || fail "$name: a process alone ends with $code"
}

# Ends with the steps and clips of the run of one process (with a batch of eight, or REFERENCE), and with its parameters and
# Adam's running means to 1e-4 of each tensor's size, but for the key biases, whose gradients are rounding alone. Sizes are
# norms: where a gradient is about 0, Adam makes a step of its whole learning rate out of rounding.
# "steps": of a run that was validated at other steps.
same_end() {  # RUN [REFERENCE [steps]]
  python3 - "$1" "${2:-$work/one}" "${3:-}" <<'PY' || fail "$1 does not end as one process does"
import json, pathlib, struct, sys

def records(run):
    return [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]

def tensors(path):
    data = path.read_bytes()
    size = struct.unpack('<Q', data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop('__metadata__', None)
    for name, t in header.items():
        begin, end = (8 + size + offset for offset in t['data_offsets'])
        if t['dtype'] == 'F32':
            yield name, struct.unpack(f'<{(end - begin) // 4}f', data[begin:end])

got, one = (pathlib.Path(run) for run in sys.argv[1:3])
a, b = records(got), records(one)
if sys.argv[3] == 'steps':
    a, b = ([r for r in run if r['kind'] == 'train'] for run in (a, b))
if [(r['kind'], r['step'], r.get('samples')) for r in a] != [(r['kind'], r['step'], r.get('samples')) for r in b]:
    sys.exit('other steps or clips')
for x, y in zip(a, b):
    if abs(x['loss'] - y['loss']) > 1e-4 * abs(y['loss']):
        sys.exit(f"step {x['step']}: loss {x['loss']}, with one process {y['loss']}")
def norm(values):
    return sum(x * x for x in values) ** 0.5

worst = 0.0
for file in ('model', 'optimizer'):
    last = f'checkpoints/last/{file}.safetensors'
    wanted = dict(tensors(one / last))
    for name, values in tensors(got / last):
        other = wanted.pop(name)
        if 'attn.qkv.bias' in name:
            third = len(values) // 3
            values, other = values[:third] + values[2 * third:], other[:third] + other[2 * third:]
        difference = norm([x - y for x, y in zip(values, other)]) / (norm(other) or 1.0)
        if difference > 1e-4:
            sys.exit(f'{name} differs by {difference:.2g}')
        worst = max(worst, difference)
    if wanted:
        sys.exit(f'{file}: tensors are missing')
print(f'  {got.name}: {a[-1]["step"]} steps, parameters and running means differ by {worst:.1e}')
PY
}

# Ends bit for bit as another run.
same_bits() {  # RUN REFERENCE
  python3 - "$1" "$2" <<'PY' || fail "$1 does not end bit for bit as $2"
import json, pathlib, struct, sys

def tensors(path):
    data = path.read_bytes()
    size = struct.unpack('<Q', data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop('__metadata__', None)
    return {name: (t['dtype'], t['shape'], data[8 + size + t['data_offsets'][0]:8 + size + t['data_offsets'][1]]) for name, t in header.items()}

runs = [pathlib.Path(run) for run in sys.argv[1:]]
for file in ('model', 'optimizer', 'generator'):
    a, b = (tensors(run / f'checkpoints/last/{file}.safetensors') for run in runs)
    different = [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
    if different:
        sys.exit(f'{file}: {len(different)} tensors differ, {different[0]} among them')
print(f'  {runs[0].name} ends bit for bit as {runs[1].name}')
PY
}

# A port that nobody listens at.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Starts N ranks by hand in the background: ${ranks[@]}, by rank. Each on its own host where there are some: ${hosts[@]}. A run
# that nothing disturbs has a limit that a busy machine keeps.
# The limit itself is for ranks that are disturbed; they have a few seconds more to end.
hosts=() limit=16 more=4 patient=120
start_by_hand() {  # N ARGUMENTS...
  local size=$1 rank port address=127.0.0.1 on=()
  shift
  port=$(free_port)
  (( ${#hosts[@]} == 0 )) || address=10.77.0.1
  ranks=()
  for (( rank = 0; rank < size; ++rank )); do
    # A host has a name of its own, too.
    (( ${#hosts[@]} == 0 )) ||
      on=(ip netns exec "${hosts[rank]}" unshare --uts sh -c 'hostname "$0" && exec "$@"' "node$((rank + 1))")
    "${on[@]}" "$cavmae" "$@" --dist-rank "$rank" --dist-size "$size" --dist-url "tcp://$address:$port" --dist-timeout "$limit" \
      >"$work/out.$rank" 2>"$work/err.$rank" &
    ranks+=($!)
    pids+=($!)
  done
}
# Waits at most so many seconds for the ranks: ${codes[@]}, "late" for one that is still there.
finish_ranks() {  # SECONDS
  local end=$((SECONDS + $1)) rank
  codes=()
  for rank in "${ranks[@]}"; do
    while kill -0 "$rank" 2>/dev/null && (( SECONDS < end )); do sleep 0.1; done
    if kill -0 "$rank" 2>/dev/null; then codes+=(late); continue; fi
    local code=0
    wait "$rank" || code=$?
    codes+=("$code")
  done
}
# Waits until a run has logged a step.
wait_for_step() {  # RUN STEP
  local end=$((SECONDS + 300))
  until [[ -f "$1/metrics.jsonl" ]] && grep -q "\"step\": *$2\b" "$1/metrics.jsonl"; do
    (( SECONDS < end )) || fail "$1 has not come to step $2"
    sleep 0.05
  done
}

echo "One process with a batch of eight"
run_alone one "${new_run[@]}" --batch-size 8 --out "$work/one"

if wanted mpirun; then
  echo "mpirun: four ranks, then the same run of two and four clips"
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  timeout 600 mpirun --oversubscribe --bind-to none -np 4 "$cavmae" "${new_run[@]}" --batch-size 2 --out "$work/mpirun" \
    >"$work/out.mpirun" 2>"$work/err.mpirun" || fail "mpirun"
  grep -q "4 ranks on 1 host, Gloo over [0-9a-f.:]* (rank 0), started by Open MPI, met at file://.*a batch is 2 clips of each rank, 8 in all; the contrastive loss sees all 8" \
    "$work/mpirun/run.log" || fail "mpirun: the first line of the log"
  same_end "$work/mpirun"
  [[ -z "$(find "$work" -maxdepth 1 -name '.*.meeting-*')" ]] || fail "mpirun: the meeting's file is still there"
fi

if wanted torchrun; then
  echo "torchrun: two ranks"
  # Debian's torchrun, on its Python 3.11, knows no such thing as nothing that is redirected.
  timeout 600 torchrun --no_python --redirects 1 --tee 2 --log_dir "$work/torchrun-log" --nproc_per_node 2 \
    --master_port "$(free_port)" "$cavmae" "${new_run[@]}" --batch-size 4 \
    --out "$work/torchrun" >"$work/out.torchrun" 2>"$work/err.torchrun" || fail "torchrun"
  grep -q "2 ranks on 1 host.*started by torchrun, met at tcp://" "$work/torchrun/run.log" || fail "torchrun: the first line"
  same_end "$work/torchrun"
fi

if wanted hand; then
  echo "by hand: three ranks, whose parts differ"
  # A batch of eight on three ranks is that of a run that began on one.
  run_alone hand "${new_run[@]}" --batch-size 8 --epochs 1 --out "$work/hand"
  limit=$patient start_by_hand 3 pretrain --out "$work/hand" --resume --epochs 6 --validate-every-epochs 3 --no-report --threads 1
  finish_ranks 300
  [[ "${codes[*]}" == "0 0 0" ]] || fail "by hand: exit codes ${codes[*]}"
  same_end "$work/hand" "$work/one" steps
fi

# Two ranks whose run is made to last, disturbed after step 2, then gone on with by one process to the end of the others.
disturbed_run() {  # NAME SIGNAL RANK [EPOCHS]
  rm -rf "$work/$1"
  start_by_hand 2 "${new_run[@]}" --batch-size 4 --out "$work/$1" --epochs "${4:-400}" --checkpoint-interval-steps 2
  wait_for_step "$work/$1" 4
  kill "-$2" "${ranks[$3]}"
}
go_on_alone() {  # RUN
  local done_so_far
  done_so_far=$(grep -c '"train"' "$1/metrics.jsonl")
  run_alone more pretrain --out "$1" --resume --no-report --epochs $((done_so_far / 2 + 2))
}

if wanted killed; then
  echo "a rank is killed"
  disturbed_run killed KILL 1
  began=$SECONDS
  finish_ranks 40
  [[ "${codes[*]}" == "1 137" ]] || fail "killed: exit codes ${codes[*]}"
  (( SECONDS - began <= limit + more )) || fail "killed: the other rank took $((SECONDS - began)) s"
  grep -q "rank 1 of 2 on $(hostname) was ended, hangs or cannot be reached; the last that it told: it " "$work/err.0" ||
    fail "killed: $(cat "$work/err.0")"
  go_on_alone "$work/killed"
  echo "  $(grep -h 'rank 1 of 2' "$work/err.0" | head -n 1)"
  echo "rank 0, which keeps the meeting place, is killed"
  disturbed_run killed KILL 0
  finish_ranks 40
  [[ "${codes[*]}" == "137 1" ]] || fail "rank 0 killed: exit codes ${codes[*]}"
  grep -q "rank 0 of 2 on $(hostname)" "$work/err.1" || fail "rank 0 killed: $(cat "$work/err.1")"
  go_on_alone "$work/killed"
fi

if wanted hung; then
  echo "a rank hangs"
  disturbed_run hung STOP 1
  began=$SECONDS
  ranks=("${ranks[0]}")
  finish_ranks 40
  [[ "${codes[*]}" == 1 ]] || fail "hung: exit code ${codes[*]}"
  (( SECONDS - began <= limit + more )) || fail "hung: the other rank took $((SECONDS - began)) s"
  grep -q "rank 1 of 2 on $(hostname)" "$work/err.0" || fail "hung: $(cat "$work/err.0")"
  kill -KILL "${pids[-1]}"
  go_on_alone "$work/hung"
fi

if wanted sigterm; then
  echo "one rank is told to end"
  disturbed_run sigterm TERM 1 60
  finish_ranks 40
  [[ "${codes[*]}" == "130 130" ]] || fail "sigterm: exit codes ${codes[*]}"
  grep -q "Stopped and saved" "$work/out.0" || fail "sigterm: $(cat "$work/out.0")"
  # Two ranks go on, and end as two that nobody disturbed. --batch-size may only say what the run has.
  local_code=0
  timeout 60 "$cavmae" pretrain --out "$work/sigterm" --resume --no-report --batch-size 3 --dist-rank 0 --dist-size 2 \
    --dist-url "tcp://127.0.0.1:$(free_port)" >"$work/out.wrong" 2>"$work/err.wrong" || local_code=$?
  (( local_code == 2 )) && grep -q "makes a batch of 6 clips, the run has 8" "$work/err.wrong" ||
    fail "another batch size: exit code $local_code, $(cat "$work/err.wrong")"
  limit=$patient start_by_hand 2 pretrain --out "$work/sigterm" --resume --no-report --threads 1 --batch-size 4
  finish_ranks 300
  [[ "${codes[*]}" == "0 0" ]] || fail "sigterm: does not go on: exit codes ${codes[*]}"
  limit=$patient start_by_hand 2 "${new_run[@]}" --batch-size 4 --out "$work/undisturbed" --epochs 60
  finish_ranks 300
  [[ "${codes[*]}" == "0 0" ]] || fail "two ranks: exit codes ${codes[*]}"
  same_bits "$work/sigterm" "$work/undisturbed"
fi

# Waits until a process has a file open whose name holds a word: it is in the middle of its share.
wait_for_open() {  # PID WORD
  local end=$((SECONDS + 300))
  until ls -l "/proc/$1/fd" 2>/dev/null | grep -- "$2" >/dev/null; do
    kill -0 "$1" 2>/dev/null || fail "ended before it read clips"
    (( SECONDS < end )) || fail "does not read clips"
    sleep 0.01
  done
}
# Two ranks of a command whose shares take minutes, of which one is killed in the middle of its share.
lose_in_share() {  # RANK, WHAT IT DOES, FILES IT READS, ARGUMENTS...
  local lost=$1 doing=$2 files=$3 other=$((1 - $1)) how="was ended, hangs or cannot be reached" want="1 137" began
  shift 3
  if (( lost == 0 )); then how="or what keeps the meeting place, was ended or cannot be reached" want="137 1"; fi
  start_by_hand 2 "$@" --threads 1
  wait_for_open "${ranks[0]}" "$files"
  wait_for_open "${ranks[1]}" "$files"
  sleep 2  # a rank tells what it does every 0.8 s
  kill -KILL "${ranks[lost]}"
  began=$SECONDS
  finish_ranks 40
  [[ "${codes[*]}" == "$want" ]] || fail "$1: exit codes ${codes[*]}"
  (( SECONDS - began <= limit + more )) || fail "$1: the other rank took $((SECONDS - began)) s"
  grep -q "^cavmae: (rank $other) rank $lost of 2 on $(hostname),* $how; the last that it told: it $doing" "$work/err.$other" ||
    fail "$1: $(cat "$work/err.$other")"
  [[ $(grep -c '^cavmae: ' "$work/err.$other") == 1 ]] || fail "$1: says more than one line"
  echo "  $1, after $((SECONDS - began)) s: $(grep -h '^cavmae: ' "$work/err.$other")"
}

if wanted embed || wanted jobs; then
  echo "a rank is killed in the middle of embedding"
  python3 - "$work" <<'PY'
import json, pathlib, sys
work = pathlib.Path(sys.argv[1])
clips = sorted((work / 'clips/clips').iterdir())
for name, count in (('many', 40000), ('some', len(clips))):
    with open(work / f'{name}.jsonl', 'w') as out:
        for number in range(count):
            clip = {'id': f'clip {number}', 'path': str(clips[number % len(clips)]), 'labels': [f'class {number % 3}']}
            print(json.dumps(clip), file=out)
PY
  many=(--data "$work/many.jsonl" --batch-size 16 --num-workers 1)
  model=(--checkpoint "$work/one")
  lose_in_share 1 "is embedding" clips/ embed "${model[@]}" "${many[@]}" --out "$work/e.safetensors"
  [[ ! -e "$work/e.safetensors" ]] || fail "embed: half a file"
fi

if wanted jobs; then
  echo "a rank of every command that shares clips is killed in the middle of its share"
  python3 - "$work" <<'PY'
import os, pathlib, struct, sys
work = pathlib.Path(sys.argv[1])
# Noise of some hours, 16 kHz and 8 bits, and some seconds of it.
def write_wav(name, seconds):
    block, size = os.urandom(1 << 20), 16000 * seconds
    with open(work / name, 'wb') as out:
        out.write(b'RIFF' + struct.pack('<I', 36 + size) + b'WAVEfmt ' + struct.pack('<IHHIIHH', 16, 1, 1, 16000, 16000, 1, 8))
        out.write(b'data' + struct.pack('<I', size))
        for begin in range(0, size, len(block)):
            out.write(block[:min(len(block), size - begin)])
for name in ('films', 'unequal'):
    (work / name).mkdir()
write_wav('films/a.wav', 20000)
write_wav('films/b.wav', 20001)
write_wav('unequal/a.wav', 10000)
write_wav('unequal/b.wav', 2)
PY
  cat >"$work/finetune.json" <<'JSON'
{"epochs": 1, "average_from_epoch": 1, "average_to_epoch": 1, "loader": {"batch_size": 4, "num_workers": 1}, "schedule": {"lr": 1e-3}}
JSON
  run_alone finetune finetune --init "$work/one" --config "$work/finetune.json" --data "$work/some.jsonl" --val "$work/some.jsonl" \
    --cache "$work/cache" --no-report --threads 1 --out "$work/classifier"
  lose_in_share 0 "is embedding" clips/ embed "${model[@]}" "${many[@]}" --out "$work/e.safetensors"
  [[ ! -e "$work/e.safetensors" ]] || fail "embed: half a file"
  parts=(embed "${model[@]}" "${many[@]}" --out "$work/parts" --part-clips 64)
  start_parts() { lose_in_share 1 ".*\(embedding\|part-0\)" clips/ "${parts[@]}"; }
  start_parts
  lose_in_share 1 "is embedding" clips/ retrieve "${model[@]}" "${many[@]}"
  lose_in_share 1 "is validating" clips/ evaluate "${model[@]}" "${many[@]}"
  lose_in_share 1 "is classifying" clips/ evaluate --checkpoint "$work/classifier" "${many[@]}"
  lose_in_share 1 "is classifying" clips/ classify --checkpoint "$work/classifier" "${many[@]}"
  lose_in_share 1 "is measuring" clips/ stats "${many[@]}"
  lose_in_share 1 "is indexing" films/ index "$work/library" "${model[@]}" --data "$work/films"

  echo "what was finished stays, and the same command goes on"
  start_parts
  grep -q "holds [0-9]* of 40000 clips already" "$work/err.0" || fail "embed does not go on: $(cat "$work/err.0")"
  start_by_hand 2 index "$work/library" --threads 1
  wait_for_open "${ranks[0]}" films/
  kill -TERM "${ranks[@]}"
  finish_ranks 300
  [[ "${codes[*]}" == "130 130" ]] || fail "index does not go on: exit codes ${codes[*]}"

  echo "shares that differ by more than the limit"
  began=$SECONDS
  limit=4
  start_by_hand 2 index "$work/unequal-library" "${model[@]}" --data "$work/unequal" --threads 1
  finish_ranks 600
  [[ "${codes[*]}" == "0 0" ]] || fail "unequal shares: exit codes ${codes[*]}"
  (( SECONDS - began > limit + 1 )) || fail "unequal shares: done after $((SECONDS - began)) s, which shows nothing"
  echo "  done after $((SECONDS - began)) s, with a limit of $limit s"
  limit=16
fi

if wanted slurm; then
  echo "Slurm: srun, and the example's sbatch file"
  source "$here/tools/one_machine_slurm.sh"
  start_slurm "$work/slurm"
  jobs_of_slurm=("cavmae-test-$$")
  timeout 600 srun --quiet --job-name "${jobs_of_slurm[0]}" -n 2 --time 10 "$cavmae" "${new_run[@]}" --batch-size 4 --out "$work/srun" \
    >"$work/out.srun" 2>"$work/err.srun" || fail "srun"
  grep -q "2 ranks on 1 host.*started by Slurm, met at file://" "$work/srun/run.log" || fail "srun: the first line"
  same_end "$work/srun"
  # A plain process inside of an allocation is one process.
  timeout 600 salloc --quiet --job-name "${jobs_of_slurm[0]}" -n 2 --time 10 "$cavmae" "${new_run[@]}" --batch-size 8 --epochs 1 --out "$work/plain" \
    >"$work/out.plain" 2>"$work/err.plain" || fail "a plain process inside of an allocation"
  ! grep -q "ranks on" "$work/plain/run.log" || fail "a plain process inside of an allocation takes itself for several"
  mkdir "$work/home"
  sed -e "s|run=.*|run=$work/sbatch data=$work/clips|" -e "s|^options=.*|options=(${new_run[*]:1:${#new_run[@]}-3} --batch-size 4)|" -e '/^#SBATCH --nodes/d' \
    -e 's/--cpus-per-task=16/--cpus-per-task=1/' -e "s|srun cavmae|srun $cavmae|" "$here/examples/cluster/pretrain.sbatch" >"$work/pretrain.sbatch"
  timeout 600 sbatch --wait --quiet --job-name "${jobs_of_slurm[0]}" --nodes 1 --time 10 --output "$work/out.sbatch" --error "$work/err.sbatch" "$work/pretrain.sbatch" ||
    fail "sbatch"
  grep -q "2 ranks on 1 host.*started by Slurm, met at tcp://.*MASTER_ADDR" "$work/sbatch/run.log" || fail "sbatch: the first line"
  same_end "$work/sbatch"
fi

# Three hosts and the switch that joins them: namespaces with 10.77.0.1 to 3.
make_hosts() {
  local i name
  (( ${#namespaces[@]} == 0 )) || return 0
  for name in switch 1 2 3; do
    ip netns add "cavmae-$$-$name" && namespaces+=("cavmae-$$-$name") || fail "no network namespace can be made: are you root?"
  done
  hosts=("${namespaces[@]:1}")
  ip -n "${namespaces[0]}" link add joined type bridge
  ip -n "${namespaces[0]}" link set joined up
  for i in 1 2 3; do
    ip -n "${namespaces[0]}" link add "port$i" type veth peer name eth0 netns "${hosts[i - 1]}"
    ip -n "${namespaces[0]}" link set "port$i" master joined up
    ip -n "${hosts[i - 1]}" address add "10.77.0.$i/24" dev eth0
    ip -n "${hosts[i - 1]}" link set eth0 up
    ip -n "${hosts[i - 1]}" link set lo up
  done
}
# A run on the three hosts that is made to last, until it has logged a step.
begin_on_hosts() {  # RUN
  make_hosts
  start_by_hand 3 pretrain --config "$work/tiny.json" --data "$work/clips" --cache "$work/cache" --no-report --threads 1 --batch-size 2 \
    --epochs 4000 --checkpoint-interval-steps 2 --out "$1"
  wait_for_step "$1" 4
}
on_hosts_go_on() {  # RUN
  local steps
  steps=$(grep -c '"train"' "$1/metrics.jsonl")
  limit=$patient start_by_hand 3 pretrain --out "$1" --resume --no-report --epochs $((steps / 3 + 2))
  finish_ranks 300
  [[ "${codes[*]}" == "0 0 0" ]] || fail "$1 does not go on: exit codes ${codes[*]}"
}

if wanted cut; then
  echo "three hosts: one is cut off in mid-step"
  begin_on_hosts "$work/cut"
  grep -q "3 ranks on 3 hosts, Gloo over 10.77.0.1 (rank 0)" "$work/cut/run.log" || fail "cut: the first line"
  ip -n "${namespaces[0]}" link set port3 down
  began=$SECONDS
  finish_ranks 40
  took=$((SECONDS - began))
  [[ "${codes[*]}" == "1 1 1" ]] || fail "cut: exit codes ${codes[*]}"
  (( took <= limit + more )) || fail "cut: the ranks took $took s"
  for rank in 0 1; do grep -q "rank 2 of 3 on node3" "$work/err.$rank" || fail "cut: $(cat "$work/err.$rank")"; done
  grep -q "rank 0 of 3 on node1, or .*answer\|rank 0 of 3 on node1, or .*reached" "$work/err.2" || fail "cut: $(cat "$work/err.2")"
  echo "  after $took s: $(grep -h 'rank 2 of 3' "$work/err.0" | head -n 1)"
  echo "  on the host that is cut off: $(grep -h 'rank 0 of 3' "$work/err.2" | head -n 1)"
  ip -n "${namespaces[0]}" link set port3 up
  on_hosts_go_on "$work/cut"
fi

if wanted lost; then
  echo "three hosts: one is killed"
  begin_on_hosts "$work/lost"
  kill -KILL "${ranks[1]}"
  began=$SECONDS
  finish_ranks 40
  [[ "${codes[*]}" == "1 137 1" ]] || fail "lost: exit codes ${codes[*]}"
  (( SECONDS - began <= limit + more )) || fail "lost: the ranks took $((SECONDS - began)) s"
  for rank in 0 2; do grep -q "rank 1 of 3 on node2" "$work/err.$rank" || fail "lost: $(cat "$work/err.$rank")"; done
  on_hosts_go_on "$work/lost"
fi

if wanted slow; then
  echo "three hosts: one is slowed to 10 Mbit/s"
  make_hosts
  ip netns exec "${hosts[2]}" tc qdisc add dev eth0 root tbf rate 10mbit burst 16kb latency 400ms
  ip netns exec "${namespaces[0]}" tc qdisc add dev port3 root tbf rate 10mbit burst 16kb latency 400ms
  # Nine clips are three of each rank.
  run_alone nine "${new_run[@]}" --batch-size 9 --out "$work/nine"
  sent() { ip netns exec "${hosts[2]}" cat /sys/class/net/eth0/statistics/tx_bytes; }
  began=$SECONDS sent_before=$(sent)
  limit=$patient start_by_hand 3 "${new_run[@]}" --batch-size 3 --out "$work/slow"
  finish_ranks 600
  [[ "${codes[*]}" == "0 0 0" ]] || fail "slow: exit codes ${codes[*]}"
  grep -q "3 ranks on 3 hosts, Gloo over 10.77.0.1 (rank 0)" "$work/slow/run.log" || fail "slow: the first line"
  same_end "$work/slow" "$work/nine"
  exchanging=$(grep -o 'exchanging.*' "$work/slow/run.log" | tail -n 1) || fail "slow: the log does not say what is exchanged"
  echo "  in $((SECONDS - began)) s, the slow host having sent $((($(sent) - sent_before) / 1000000)) MB, $exchanging"
fi
echo "Runs of several processes hold what they promise."
