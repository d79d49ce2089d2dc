#!/bin/sh
# Installs rustfmt and clippy where rustup can; says what to do where it cannot. Quiet when both are there.
set -eu

cargo=${CARGO:-cargo}
missing=
"$cargo" fmt --version >/dev/null 2>&1 || missing="$missing rustfmt"
"$cargo" clippy --version >/dev/null 2>&1 || missing="$missing clippy"
[ -n "$missing" ] || exit 0

if command -v rustup >/dev/null 2>&1; then
  echo "Installing parts of Rust:$missing"
  # shellcheck disable=SC2086
  if rustup component add $missing >/dev/null 2>&1; then exit 0; fi
  echo "rustup could not install:$missing. Check the network, then run: rustup component add$missing" >&2
  exit 1
fi
echo "These parts of Rust are missing, and there is no rustup that could install them:$missing
Install them from where Rust came from (Debian: apt-get install rustfmt rust-clippy), then run this again." >&2
exit 1
