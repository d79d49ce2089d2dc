#!/bin/sh
# Speaks the short recordings that a caller hears before a conference: 8 kHz, mono, 16 bit. Needs espeak-ng and python3.
# The WAV files beside this script are what it wrote.
set -eu
cd "$(dirname "$0")"

say() {
    espeak-ng -v en -s 150 -g 2 -w "$1.whole.wav" "$2"
    python3 - "$1.whole.wav" "$1.wav" <<'PYTHON'
import struct, sys, wave

source, target = sys.argv[1:]
with wave.open(source) as wav:
    rate, count = wav.getframerate(), wav.getnframes()
    whole = struct.unpack(f"<{count}h", wav.readframes(count))
# A mean over each new sample's time keeps out most of what 8 kHz cannot hold.
step = rate / 8000
narrow = []
for n in range(int(count / step)):
    part = whole[int(n * step) : max(int((n + 1) * step), int(n * step) + 1)]
    narrow.append(sum(part) / len(part))
while narrow and abs(narrow[-1]) < 100:
    narrow.pop()
peak = max(abs(sample) for sample in narrow)
narrow = [int(sample / peak * 12000) for sample in narrow]
with wave.open(target, "wb") as wav:
    wav.setnchannels(1)
    wav.setsampwidth(2)
    wav.setframerate(8000)
    wav.writeframes(struct.pack(f"<{len(narrow)}h", *narrow))
PYTHON
    rm "$1.whole.wav"
}

say pin "Please enter the pin of the conference."
say wrong "That was not the pin. Please try again."
say lobby "Please wait. The host will let you in."
