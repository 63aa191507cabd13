#!/usr/bin/env bash
# From nothing to the model and its confusion matrix: training/run.sh [WORK_DIRECTORY]   (Debian 12; about 6 GB, 2 to 4 hours)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-/tmp/genre}
mkdir -p "$work"

missing=()
for package in ffmpeg fluidsynth fluid-soundfont-gm timgm6mb-soundfont mma python3-venv cmake; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
if ((${#missing[@]})); then
    apt-get update
    apt-get install -y --no-install-recommends "${missing[@]}"
fi
if [ ! -x "$work/venv/bin/python3" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet numpy scipy mido==1.3.3 music21==10.5.1
fi

"$work/venv/bin/python3" "$here/gather.py" "$work"
cd "$here/.."
# LTO gains nothing here but build time
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
cargo build --release --locked -p sandpool-training
genre=target/release/genre-training
for part in train development; do
    $genre extract "$work/corpus" $part "$work/$part"
done
{
    $genre train sandbox/src/genre/model.txt "$work/train" "$work/development"
    $genre evaluate "$work/corpus" test sandbox/src/genre/model.txt
} | tee "$work/report.txt"
