#!/bin/sh
# Trains the tuned reader and CLaRa at 4x and 16x on SmolLM2-135M, on one GPU and without a network.
#
#   scripts/gpu_run.sh                             # everything, below runs/real-gpu
#   scripts/gpu_run.sh real-gpu-toy reader-toy     # two steps a stage, on any machine, below runs/real-gpu-toy
#   scripts/gpu_run.sh ./mine.toml                 # a config of your own, with `base`; below runs/mine
#
# It reads ./data and writes below ./runs; the same command resumes. PYTHON names the interpreter.
set -eu
config=${1:-real-gpu}
recipe=${2:-reader}
out=runs/$(basename "$config" .toml)
python=${PYTHON:-$(dirname "$0")/../.venv/bin/python}

reference() { "$python" -m reference "$@"; }
stage() { reference train "$config" --stage "$@"; }

mkdir -p "$out"
[ -f "$out/rows.jsonl.json" ] || reference rows "$recipe" data "$out/rows.jsonl"
stage reader --out "$out/reader"
[ -d "$out/adapter" ] || reference adapter "$out/reader/best" "$out/adapter"
stage compress --out "$out/4x"
stage thin --out "$out/16x" --set model.memory.rate=16
for rate in 4x 16x; do
    [ -d "$out/shipped/$rate" ] || reference export "$out/$rate/best" "$out/shipped/$rate" --dtype int8
done
echo "$out: adapter (LoRA weights of the reader), shipped (CLaRa, 8 bits), and the curves: log.jsonl of reader, 4x and 16x"
