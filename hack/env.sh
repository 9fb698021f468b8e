# shellcheck shell=bash
# What every script of hack/ shares: where the checkout is, where built tools are cached, and how to say things.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# Heavy tools (the control plane, the linter, the generators) are built once and kept outside the checkout, named for the exact
# sources they came from, so that a clean clone finds them again.
TOOL_CACHE="${QUORATE_TOOL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/quorate/tools}"
BIN="$ROOT/bin"

say() { printf '==> %s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# build_tool MODULE_DIR PACKAGE NAME [LDFLAGS]: builds a command of one of hack's modules into the cache, unless it is there, and
# links it as bin/NAME.
build_tool() {
  local dir="$1" pkg="$2" name="$3" ldflags="${4:--s -w}" key out
  key="$( (go version; cat "$dir"/go.mod "$dir"/go.sum; cat "$dir"/*.go 2>/dev/null || true; echo "$ldflags") | sha256sum | cut -c1-16)"
  out="$TOOL_CACHE/$key/$name"
  if [ ! -x "$out" ]; then
    say "building $name (once; kept in $TOOL_CACHE)"
    mkdir -p "$(dirname "$out")"
    (cd "$dir" && CGO_ENABLED=0 go build -trimpath -ldflags "$ldflags" -o "$out.tmp.$$" "$pkg") ||
      fail "cannot build $name from $dir: see the messages above (is the Go module proxy reachable?)"
    mv "$out.tmp.$$" "$out"
  fi
  mkdir -p "$(dirname "$BIN/$name")"
  ln -sfn "$out" "$BIN/$name"
}
