# need_packages NAME PACKAGE...: installs the Debian packages that are missing, and says so under the script's name. Sourced.
need_packages() {
  local name=$1 package status missing=() sudo=()
  shift
  for package in "$@"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ "$status" == installed ]] || missing+=("$package")
  done
  (( ${#missing[@]} > 0 )) || return 0
  echo "$name: installing with apt-get: ${missing[*]}" >&2
  (( EUID == 0 )) || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
