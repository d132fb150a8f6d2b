#!/bin/sh
# Copies the libraries of Debian that CUDA's libraries need, such as zlib, into the root of an image, by the
# path at which the loader looks. The trainer itself does not need them, so collect.sh has not.
#
#   collect_cuda.sh LIBRARIES ROOT
set -eu
libraries=$1
root=$2
export LD_LIBRARY_PATH=$libraries

needed=$(mktemp)
for library in "$libraries"/*.so*; do
    ldd "$library" >> "$needed"
done
# The host brings the driver.
if grep 'not found' "$needed" | grep -v '^[[:space:]]*libcuda\.so\.1 ' >&2; then
    echo "error: CUDA's libraries need libraries that are not there" >&2
    exit 1
fi
grep -o '/[^ )]*' "$needed" | sort -u | grep -v "^$libraries" | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
