#!/usr/bin/env bash
# A federation on this machine, from nothing to a table: a coordinator and three institutions, each a
# process of its own, on real imagery. `make demo` builds the programs and calls this.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "${BIN_DIR:?the folder of the programs}" && pwd)
seed=${SEED:-0}
python=${PYTHON:-python3}
results=${RESULTS:-demo-results}
began=$SECONDS

say() { printf '\n\033[1m[%4d s] %s\033[0m\n' $((SECONDS - began)) "$*"; }

if [[ -e $results && ! -e $results/.eosfed-demo ]]; then
    echo "error: $results exists and is not of this demo; name another folder with RESULTS=DIR" >&2
    exit 1
fi
rm -rf "$results"
mkdir -p "$results" && touch "$results/.eosfed-demo"
results=$(cd "$results" && pwd)
data=$results/data site=$results/sites coordinator=$results/coordinator logs=$results/logs
mkdir -p "$data" "$site" "$logs"

# Ends only what this script has started.
started=()
cleanup() {
    local status=$?
    for pid in "${started[@]}"; do kill -TERM "$pid" 2> /dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2> /dev/null || true; done
    if [[ $status -ne 0 ]]; then echo "the demo has failed; the logs are in $logs" >&2; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ---- imagery -------------------------------------------------------------------------------------
if [[ -n ${DATA:-} ]]; then
    story=eurosat
    say "Dividing $DATA among three institutions"
    "$python" "$here/eurosat/divide.py" "$DATA" "$data"
else
    story=landsat
    say "Cutting a Landsat scene into the private parts of three institutions"
    scene=$("$python" "$here/fetch_scene.py")
    crop() { # PART NUMBER WINDOW
        local images=()
        for band in 10 20 30 40 50 70; do images+=(--image "$scene/lsat7_2000_$band.tif"); done
        "$bin/eosfed-client" data crop "${images[@]}" --mask "$scene/strata.tif" --window "$3" \
            --output "$data/$1/$2" > /dev/null
    }
    # X,Y,WIDTH,HEIGHT in pixels. No two overlap; label and test lie between the institutions, so
    # that all see comparable mixtures of classes.
    crop west 0 56,46,84,352
    crop label 0 140,46,32,352
    crop test 0 172,46,32,352
    crop centre 0 204,46,84,352
    crop test 1 288,46,32,352
    crop label 1 320,46,32,352
    crop east 0 352,46,84,352
fi
for part in west centre east; do
    cp "$here/$story/dataset.toml" "$data/$part/"
    "$bin/eosfed-client" data inspect "$data/$part" --quicklook "$results/imagery-$part.png" > "$logs/inspect-$part.txt"
done
cp "$here/$story/label.toml" "$data/label/dataset.toml"
cp "$here/$story/test.toml" "$data/test/dataset.toml"
imagery=$(find -L "$data" -name '*.tif' -printf '%s\n' | awk '{ sum += $1 } END { print sum }')

# ---- coordinator ---------------------------------------------------------------------------------
say "Starting the coordinator"
"$bin/eosfed-coordinator" init --state "$coordinator" --operator demo --listen 127.0.0.1:0 > /dev/null
"$bin/eosfed-coordinator" serve --state "$coordinator" > "$logs/coordinator.out" 2> "$logs/coordinator.log" &
started+=($!)
for _ in $(seq 100); do
    if grep -q READY "$logs/coordinator.out"; then break; fi
    kill -0 "${started[0]}" 2> /dev/null || { cat "$logs/coordinator.log" >&2; exit 1; }
    sleep 0.1
done
cat "$logs/coordinator.out"
export EOSFED_IDENTITY=$coordinator/operator
eosfed() { "$bin/eosfed" "$@"; }

# ---- institutions --------------------------------------------------------------------------------
say "Three institutions join: each makes its own key, and sets its own policy"
for name in west centre east; do
    eosfed institution invite "$name" --token-file "$site/$name.token" 2> /dev/null
    "$bin/eosfed-client" join --token-file "$site/$name.token" --state "$site/$name" --dataset "$data/$name" \
        --policy "$here/policies/$name.toml" > "$logs/join-$name.txt"
    # Three institutions share this machine, as they would not elsewhere: one thread each.
    sed -i 's/^# threads = .*/threads = 1/' "$site/$name/client.toml"
    "$bin/eosfed-client" run --state "$site/$name" > /dev/null 2> "$logs/client-$name.log" &
    started+=($!)
done
eosfed institution list

# ---- jobs ----------------------------------------------------------------------------------------
plan() { sed "s/^seed = .*/seed = $seed/" "$here/$story/$1.toml" > "$results/$1.toml" && echo "$results/$1.toml"; }

say "One-shot job: each trains its own specialist and sends its frozen weights"
eosfed job submit "$(plan one-shot)" --watch
eosfed job plot latest --file "$results/curves-one-shot.png"

say "Rounds job: all three train one specialist together with FedAvg"
eosfed job submit "$(plan rounds)" --watch
eosfed job plot latest --file "$results/curves-rounds.png"

say "Two releases: the second adds a specialist and touches no other"
eosfed release list
eosfed release show

# ---- downstream ----------------------------------------------------------------------------------
say "A researcher pulls the release and trains small heads on a few labels"
release=$results/release
eosfed release pull --to "$release"
eosfed --output json release show > "$results/release.json"
# Each specialist is compared with random weights over the same bands.
"$python" "$here/earned.py" plan "$results/release.json" "$results/baselines.json" > "$results/heads.txt"
# 22 tiles are few for a decoder of 128 channels, which has two million parameters. The rate was chosen for the narrow
# one on the label strips alone, one against the other.
[[ $story == landsat ]] && head=(--input-size 64 --decoder-channels 32 --learning-rate 4e-3) || head=(--learning-rate 5e-4)
fit() { # NAME ENCODERS
    "$bin/eosfed-trainer" fit --release "$release" --data "$data/label" --encoders "$2" --name "$1" \
        --output "$results/heads/$1" --seed "$seed" --threads 1 "${head[@]}" > "$logs/fit-$1.txt" 2>&1 ||
        { cat "$logs/fit-$1.txt" >&2; return 1; }
}
# Two at a time: a head is small, and gains little from a second thread.
heads=(ensemble)
waiting=("ensemble all")
while read -r name encoders; do heads+=("$name") waiting+=("$name ${encoders/SEED/$seed}"); done < "$results/heads.txt"
while [[ ${#waiting[@]} -gt 0 ]]; do
    pids=()
    for pair in "${waiting[@]:0:2}"; do
        # shellcheck disable=SC2086
        fit $pair &
        pids+=($!)
    done
    waiting=("${waiting[@]:2}")
    for pid in "${pids[@]}"; do wait "$pid"; done
    echo "  $((${#heads[@]} - ${#waiting[@]})) of ${#heads[@]} heads are trained"
done

if [[ -e $here/$story/downstream.toml ]]; then
    say "Downstream job: all three train one head together over the frozen release"
    eosfed job submit "$(plan downstream)" --watch
    eosfed job plot latest --file "$results/curves-downstream.png"
    eosfed job head latest --to "$results/heads/joint-head"
    heads+=(joint-head)
    say "Its selection says which specialists to keep in a smaller release"
    eosfed release prune --from-job latest --top-k 2
fi

say "Scoring on pixels that nobody has seen"
folders=()
for name in "${heads[@]}"; do folders+=("$results/heads/$name"); done
"$bin/eosfed-trainer" score "${folders[@]}" --release "$release" --data "$data/test" --split test --output "$results/scores" \
    --threads 2 2> "$logs/score.txt" || { cat "$logs/score.txt" >&2; exit 1; }
cp "$results"/scores/* "$results/"
rm -r "$results/scores"
say "What training has earned: each specialist beside random weights over the same bands"
"$python" "$here/earned.py" compare "$results/results.json" "$results/baselines.json"
rm "$results/heads.txt" "$results/baselines.json" "$results/release.json"

# ---- what left -----------------------------------------------------------------------------------
say "What has left each institution"
for name in west centre east; do
    "$bin/eosfed-client" status --state "$site/$name" --output json > "$results/sent-$name.json"
done
"$python" "$here/sent.py" "$imagery" "$results"/sent-*.json

say "Done: $results"
(cd "$results" && ls -1 ./*.md ./*.json ./*.png ./*.toml)
