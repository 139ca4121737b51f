#!/usr/bin/env bash
# Trains the default family from random weights: a target that sees, a small language model, and its drafters.
#
#   examples/family/train.sh OUT          needs Python with the package tokenizers (PYTHON names it)
#
# Every step goes on where it was cut off when the script is run again.
set -euo pipefail
out=${1:?expected a folder to train in}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tool=${TOOL:-$root/.build/release/massv-pipe}
pipes=$root/pipelines
mkdir -p "$out/log"
cd "$out"

run() { # NAME PIPE ARGUMENTS…: a training run with its lines in log/NAME.jsonl, once
  local name=$1 pipe=$2
  shift 2
  [ -e "log/$name.done" ] && return
  echo "$name" >&2
  "$tool" run "$pipe" "$@" --resume >> "log/$name.jsonl"
  touch "log/$name.done"
}

scenes() { "$tool" run "$pipes/scenes.pipe" "$@"; } # tar on standard output

# 1. Folders with configurations, and a tokenizer trained on what scenes say.
if [ ! -e scenes-lm/config.json ]; then
  scenes count=20000 seed=7 'tasks=[captions, details, questions, text]' > words.tar
  "${PYTHON:-python3}" "$here/make_family.py" words.tar .
fi

# 2. The target: first its tower on what each place of a picture shows, then all of it on prompts and answers.
run tower "$here/target.pipe" model=scenes-target save=tower 'update=[vision]' answers=0 cells=1 objects=3 steps=1500
run target "$here/target.pipe" model=tower save=target seed=3 steps=7000

# 3. The small language model, on text alone.
run lm "$here/drafter-lm.pipe" model=scenes-lm save=lm target=target steps=2500

# 4. Phase 1: a projector for it, on pictures with captions.
[ -e captions.tar ] || scenes count=5000 seed=11 'tasks=[captions]' > captions.tar
run phase1 "$pipes/pretrain-projector.pipe" target=target language=lm save=phase1 steps=600 shards=captions.tar \
  cache=captions.cache

# 5. What the target itself says about other pictures.
if [ ! -e sdvit.tar ]; then
  scenes count=2500 seed=12 | "$tool" run "$here/distill.pipe" target=target > sdvit.partial
  mv sdvit.partial sdvit.tar
fi

# 6. Phase 2 and its controls, all on the same pictures and prompts for as many steps.
tune() { # NAME FROM ARGUMENTS…
  run "$1" "$pipes/sdvit.pipe" target=target draft="$2" save="$1" steps=1500 shards=sdvit.tar cache=sdvit.cache \
    lr=0.001 "${@:3}"
}
tune massv phase1
tune fixed phase1 answer=txt
tune tuned lm projector=none 'update=[language]'

# 7. Judged on scenes that nobody has learnt from, side by side.
if [ ! -e evaluation.jsonl ]; then
  scenes count=200 seed=99 'tasks=[captions]' | "$tool" run "$pipes/evaluate.pipe" target=target text=lm tuned=tuned \
    fixed=fixed draft=massv wrong-picture=true report=report.html > evaluation.partial
  mv evaluation.partial evaluation.jsonl
fi
