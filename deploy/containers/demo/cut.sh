#!/bin/sh
# Cuts the demo's scene into the private parts of west and east, which do not overlap.
#
#   cut.sh SOURCE TO
set -eu
source=$1
to=$2
for part in "west 56,46,84,352" "east 352,46,84,352"; do
    name=${part% *}
    images=
    for band in 10 20 30 40 50 70; do images="$images --image $source/scene/lsat7_2000_$band.tif"; done
    # shellcheck disable=SC2086
    eosfed-client data crop $images --mask "$source/scene/strata.tif" --window "${part#* }" --output "$to/$name/0"
    cp "$source/dataset.toml" "$to/$name/"
    eosfed-client data inspect "$to/$name"
done
