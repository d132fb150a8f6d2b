#!/usr/bin/env bash
# Writes a bill of materials of each program, in CycloneDX's JSON, into $TARGET/sbom: every crate that
# is linked into it, with version, licence and checksum. The time in it is that of the last commit.
# With GDAL=1, of programs with the feature `gdal`.
set -euo pipefail
cd "$(dirname "$0")/.."
out="${TARGET:-target}/sbom"
mkdir -p "$out"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2> /dev/null || date +%s)
export SOURCE_DATE_EPOCH

for folder in cli coordinator client client/trainer; do
    name=$(sed -n 's/^name = "\(.*\)"/\1/p' "$folder/Cargo.toml" | head -n 1)
    features=()
    if [[ ${GDAL:-} == 1 && $folder == client* ]]; then features=(--features gdal); fi
    cargo cyclonedx --quiet --format json "${features[@]}" --manifest-path "$folder/Cargo.toml" --override-filename "$name.cdx"
    mv "$folder/$name.cdx.json" "$out/"
    find . -path ./target -prune -o -name "$name.cdx.json" -exec rm {} +
    echo "$out/$name.cdx.json"
done
