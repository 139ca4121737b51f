#!/usr/bin/env bash
# Trains the family in examples/models from random weights: a target that sees, a larger one, a small language model, and
# the drafters that it becomes.
#
#   examples/family/train.sh OUT          needs Python with the package tokenizers (PYTHON names it)
#
# Every step goes on where it was cut off when the script is run again. log/times says when each began. SHARE=50 takes a
# fiftieth of all steps and scenes: to see the script through, not to get good models.
set -euo pipefail
out=${1:?expected a folder to train in}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tool=${TOOL:-$root/.build/release/massv-pipe}
pipes=$root/pipelines
share=${SHARE:-1}
mkdir -p "$out/log"
cd "$out"

begin() { echo "$(date +%T) $1" | tee -a log/times >&2; }

train() { # NAME STEPS PIPE ARGUMENTS…: a training run into the folder NAME with its lines in log/NAME.jsonl, once; STORAGE
  # says how its weights are stored
  local name=$1 steps=$2 pipe=$3
  shift 3
  [ -e "log/$name.done" ] && return
  begin "$name"
  "$tool" run "$pipe" save="$name" steps=$((steps / share)) "$@" --set train.storage="${STORAGE:-bf16}" --resume >> "log/$name.jsonl"
  touch "log/$name.done"
}

scenes() { # COUNT ARGUMENTS…: a tar on standard output
  "$tool" run "$pipes/scenes.pipe" count=$(($1 / share)) "${@:2}"
}

make() { # FILE COMMAND…: what the command writes, once and whole
  [ -e "$1" ] && return
  begin "$1"
  "${@:2}" > "$1.partial"
  mv "$1.partial" "$1"
}

# 1. Folders with configurations, and a tokenizer trained on what scenes say.
make words.tar scenes 20000 seed=7 'tasks=[captions, details, questions, text]'
[ -e blank-lm/config.json ] || "${PYTHON:-python3}" "$here/make_family.py" words.tar .

# 2. The target: first its tower on what each place of a picture shows, then all of it on prompts and answers.
tasks='tasks=[captions, details, questions, captions, questions, text]'
train tower 1500 "$here/target.pipe" model=blank-target 'update=[vision]' answers=0 cells=1 objects=3
train first 7500 "$here/target.pipe" model=tower seed=3 "$tasks"
train scenes-target 5000 "$here/target.pipe" model=first seed=5 "$tasks" lr=0.0015

# 3. The small language model, on text alone.
train scenes-lm 4000 "$here/drafter-lm.pipe" model=blank-lm target=scenes-target

# 4. Phase 1: a projector for it, on pictures with captions.
make captions.tar scenes 5000 seed=11 'tasks=[captions]'
train scenes-phase1 1000 "$pipes/pretrain-projector.pipe" target=scenes-target language=scenes-lm shards=captions.tar \
  cache=captions.cache

# 5. What the target itself says about other pictures, and where there is none: a drafter that learns from pictures alone
# forgets how to do without.
told='tasks=[captions, details, questions, text]'
distill() { scenes 10600 seed=12 "$told" | "$tool" run "$here/distill.pipe" target=scenes-target; }
make sdvit.tar distill

# 6. Phase 2 and its controls, for as many steps on as many answers: fixed labels have one to a scene, so that they are
# of twice as many scenes.
tune() { # NAME FROM SHARDS ARGUMENTS…
  train "$1" 10600 "$pipes/sdvit.pipe" target=scenes-target draft="$2" shards="$3.tar" cache="$3.cache" lr=0.002 \
    picture=optional "${@:4}"
}
tune scenes-massv scenes-phase1 sdvit objective=kl
tune scenes-tuned scenes-lm sdvit objective=kl projector=none 'update=[language]'
make labels.tar scenes 21200 seed=12 "$told"
tune scenes-fixed scenes-phase1 labels answer=txt

# 7. The larger target, with the same tower, which stays as it is: four layers, then a fifth. Its layers are stored in 8 bits,
# so that all the family fits in 48 MB.
parts='update=[projector, language]'
train large 1500 "$here/target.pipe" model=blank-large tower=scenes-target seed=4 "$tasks" "$parts" cells=0 lr=0.0015
train larger 2200 "$here/target.pipe" model=large seed=6 "$tasks" "$parts" cells=0 lr=0.001
train largest 3500 "$here/target.pipe" model=larger seed=8 "$tasks" "$parts" cells=0 lr=0.0015
[ -e deeper/config.json ] || "${PYTHON:-python3}" "$here/add_layer.py" largest deeper
STORAGE=q8 train scenes-large 2500 "$here/target.pipe" model=deeper seed=9 "$tasks" "$parts" cells=0 lr=0.0015

# 8. What runs need of the folders, as examples/models has it: without states to go on from.
for name in target large lm phase1 massv fixed tuned; do
  mkdir -p "models/scenes-$name"
  find "scenes-$name" -maxdepth 1 -type f -exec cp {} "models/scenes-$name/" \;
done
begin end
