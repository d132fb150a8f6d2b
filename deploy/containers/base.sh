#!/usr/bin/env bash
# Makes sure that the base image is there, for `make container-test`: pulls it, or, where no registry of
# images can be reached, makes one of the same name from Debian's packages (debootstrap, kept in the
# user's cache). Exit code 3 if neither works. ENGINE is podman with its options, BASE the image.
set -euo pipefail
read -ra engine <<< "${ENGINE:?podman with its options}"
base=${BASE:?the name of the image}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/eosfed/debian-bookworm-root

"${engine[@]}" image exists "$base" && exit 0
timeout 60 "${engine[@]}" pull --quiet "$base" > /dev/null 2>&1 && exit 0
if [[ ! -e $cache/etc/debian_version ]]; then
    if ! command -v debootstrap > /dev/null; then
        echo "skipped: container-test: $base cannot be pulled, and debootstrap is not installed"
        exit 3
    fi
    rm -rf "$cache.part"
    if ! debootstrap --variant=minbase bookworm "$cache.part" > "$cache.log" 2>&1; then
        echo "skipped: container-test: $base cannot be pulled, and debootstrap has failed; see $cache.log"
        exit 3
    fi
    mv "$cache.part" "$cache"
fi
tar -C "$cache" -cf - . | "${engine[@]}" import --quiet - "$base" > /dev/null
echo "$base cannot be pulled here; it was made from Debian's packages"
