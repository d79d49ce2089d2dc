#!/bin/sh
# Installs the system packages that one kind of work needs, and says so. Quiet and quick when all are there.
# usage: install-needs.sh build|run|demo|test|interop|lint|bench
set -eu

kind=${1:?usage: install-needs.sh build|run|demo|test|interop|lint|bench}

build="build-essential pkg-config libasound2-dev libopus-dev"
# What a window needs when it runs: winit and the clipboard load these by name.
run="fonts-dejavu-core libxkbcommon0 libxkbcommon-x11-0 libx11-6 libx11-xcb1 libxcb1 libxcursor1 libxi6 libxrandr2 libwayland-client0"
window="$run xvfb xdotool imagemagick x11-utils xclip"
sound="pulseaudio pulseaudio-utils libasound2-plugins"
case $kind in
  build | bench) packages=$build ;;
  run) packages="$build $run" ;;
  demo) packages="$build $window espeak-ng baresip-core" ;;
  test) packages="$build $window $sound dbus" ;;
  interop) packages="$build $window $sound dbus baresip-core linphone-cli twinkle-console sip-tester libxml2-utils kamailio kamailio-tls-modules openssl iproute2 util-linux" ;;
  lint) packages=$build ;;
  *) echo "install-needs.sh: unknown kind of work: $kind" >&2; exit 2 ;;
esac

if ! command -v cargo >/dev/null 2>&1; then
  echo "Parlour is built with Rust's cargo, which is not on the PATH. Install Rust 1.92 or later, then run this again." >&2
  exit 1
fi
if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
  # Elsewhere the user installs them by hand, once; the marker says that this was done.
  if [ "${PARLOUR_NEEDS_INSTALLED:-}" = 1 ]; then exit 0; fi
  echo "This is not Debian or Ubuntu. Install what these Debian packages hold, then run: PARLOUR_NEEDS_INSTALLED=1 make ...
  $packages" >&2
  exit 1
fi

missing=
for package in $packages; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

become=
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "These packages are missing and only root can install them:$missing
Run as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
  become=sudo
fi
echo "Installing system packages:$missing"
log=$(mktemp)
try() { $become env DEBIAN_FRONTEND=noninteractive apt-get -y "$@" >"$log" 2>&1; }
# shellcheck disable=SC2086
if ! { try update && try install --no-install-recommends $missing; }; then
  cat "$log" >&2
  echo "The packages above could not be installed:$missing. Check the network and the package sources, then run this again." >&2
  rm -f "$log"
  exit 1
fi
rm -f "$log"
