#!/usr/bin/env bash
# `make container-test`: builds the images from ready programs and runs compose.yaml with podman.
#   PROGRAMS_DIR  the programs (target/release)
#   GDAL_PROGRAMS_DIR   programs with the feature `gdal`: then eosfed-client-gdal is built and tested too
#   ENGINE        podman with its options
set -euo pipefail
cd "$(dirname "$0")/../.."
export ENGINE=${ENGINE:-podman --runtime runc --cgroup-manager=cgroupfs}
BASE=${BASE:-$(sed -n 's/^ARG BASE=//p' deploy/containers/coordinator.Dockerfile)}
# A machine for tests may not let a build make containers of its own.
export BASE BUILD_FLAGS=${BUILD_FLAGS:---isolation=chroot}

"${PYTHON:-python3}" deploy/containers/test.py --check || { [[ $? == 3 ]] && exit 0; exit 1; }
bash deploy/containers/base.sh || { [[ $? == 3 ]] && exit 0; exit 1; }
IMAGES="coordinator cli client-cpu demo-imagery" bash deploy/containers/images.sh
"${PYTHON:-python3}" deploy/containers/test.py
if [[ -n ${GDAL_PROGRAMS_DIR:-} ]]; then
    IMAGES=client-gdal bash deploy/containers/images.sh
    "${PYTHON:-python3}" deploy/containers/gdal_test.py
fi
