# What crash_test.sh and index_crash_test.sh have in common. Sourced, with the script's own words; before it stand
#   declare -A numbers=([kills]=50 ...)   its flags that take a number, and their defaults
# It reads --build DIR, --skip-disks-without-mount and those flags into $build and variables of their names, goes on in a
# mount namespace where disks are to be filled, and gives $cavmae, $work (removed in the end), fail and pause.
build=$here/build/release skip_disks=no
for name in "${!numbers[@]}"; do printf -v "$name" %s "${numbers[$name]}"; done
words=("$@")
while (( $# > 0 )); do
  name=${1#--} name=${name//-/_}
  case $1 in
    --build) build=$(cd "$2" && pwd); shift 2 ;;
    --skip-disks-without-mount) skip_disks=yes; shift ;;
    --*)
      if [[ -z "${numbers[$name]:-}" || ! "${2:-}" =~ ^[0-9]+$ ]]; then
        sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
        exit 2
      fi
      printf -v "$name" %s "$2"; shift 2 ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done

# In a mount namespace of its own, so that the disk is seen here alone and goes away by itself.
if (( full_disks > 0 )) && [[ -z "${CAVMAE_CRASH_TEST_MOUNTS:-}" ]]; then
  for unshare in "unshare -m" "unshare -rm"; do
    if $unshare sh -c 'mount -t tmpfs -o size=1m tmpfs /mnt' 2>/dev/null; then
      CAVMAE_CRASH_TEST_MOUNTS=yes exec $unshare "$0" "${words[@]}" --seed "$seed"
    fi
  done
  if [[ $skip_disks == no ]]; then
    echo "A disk that can be filled takes root or user namespaces (unshare -rm), and this machine gives neither." >&2
    exit 1
  fi
  echo "No disk can be mounted here: the full disks are left out."
  full_disks=0
fi

cavmae=$build/cavmae
[[ -x "$cavmae" ]] || { echo "$cavmae is not built" >&2; exit 2; }
if ! command -v python3 >/dev/null; then
  echo "python3 is not installed, which compares tensors: tools/install_dependencies.sh --tests" >&2
  [[ "${CI:-}" == true ]] && exit 1 || exit 77
fi
work=$(mktemp -d)
remove_work() {
  [[ ! -d "$work/disk" ]] || umount "$work/disk" 2>/dev/null || true
  rm -rf "$work"
}
trap remove_work EXIT
RANDOM=$seed
fail() { echo "FAILED: $*" >&2; [[ ! -s "$work/err" ]] || tail -n 20 "$work/err" >&2; exit 1; }
exec {silence}<> <(:)
# Waits for so many milliseconds, without a process of its own: moments are to be met on a busy machine too.
pause() { read -r -t "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))" _ <&"$silence" || true; }
