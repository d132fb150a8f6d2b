#!/usr/bin/env bash
# Builds the images eosfed-coordinator, eosfed (the command line), eosfed-client and, with CUDA=1,
# eosfed-client-cuda, with GDAL=1 eosfed-client-gdal. `make images` calls this.
#
#   ENGINE        docker or podman, with options if need be ("podman --storage-driver=vfs")
#   PROGRAMS_DIR  a folder of ready programs (target/release); without it they are compiled in an image
#   GDAL_PROGRAMS_DIR   the same for eosfed-client-gdal: programs of `make programs GDAL=1`
#   BASE, RUST    the images to start from, for a registry of your own or a digest
#   BUILD_FLAGS   more words for `build` (--isolation=chroot)
#   IMAGES        which of them, such as "coordinator cli"; the demo needs demo-imagery too
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
revision=$(git rev-parse HEAD 2> /dev/null || echo unknown)

default_engine() {
    command -v docker > /dev/null && { echo docker; return; }
    command -v podman > /dev/null && { echo podman; return; }
    echo "error: neither docker nor podman is installed; install one, or name it with ENGINE=..." >&2
    exit 1
}
read -ra engine <<< "${ENGINE:-$(default_engine)}"
read -ra flags <<< "${BUILD_FLAGS:-}"
read -ra wanted <<< "${IMAGES:-coordinator cli client-cpu}"
[[ ${CUDA:-} == 1 ]] && wanted+=(client-cuda)
[[ ${GDAL:-} == 1 ]] && wanted+=(client-gdal)
# Podman's own format has no health checks. Its cache is not used, because it does not see that the
# mounted programs have changed, and gives images with old ones.
[[ ${engine[0]##*/} == podman ]] && flags+=(--format docker --no-cache)
# Podman looks for an image without a registry under localhost.
[[ ${engine[0]##*/} == podman ]] && prefix=localhost/ || prefix=

# FILE IMAGE CONTEXT [WORDS]...
build() {
    local file=$1 image=$2 context=$3
    shift 3
    local began=$SECONDS
    "${engine[@]}" build "${flags[@]}" --file "$file" --tag "$prefix$image:$version" "$@" "$context" > "$log" 2>&1 ||
        { tail -n 40 "$log" >&2; echo "error: $image was not built" >&2; exit 1; }
    echo "built $prefix$image:$version in $((SECONDS - began)) s"
}

scratch=$(mktemp -d)
log=$scratch/log
trap 'rm -rf "$scratch"' EXIT

# Hard links where the file system allows them: the programs and libtorch are large.
link() { cp -al "$@" 2> /dev/null || cp -a "$@"; }

# FROM IMAGE SBOM: programs of a folder become an image.
pack_programs() {
    local from=$1 image=$2 sbom=$3 libtorch name programs=$scratch/$2
    libtorch=$(python3 deploy/libtorch/bootstrap.py)
    mkdir -p "$programs/bin"
    for name in eosfed eosfed-coordinator eosfed-client eosfed-trainer; do
        [[ -x $from/$name ]] || { echo "error: $from/$name is missing; run \`make programs\`" >&2; exit 1; }
        link "$from/$name" "$programs/bin/"
    done
    link "$libtorch/lib" "$programs/libtorch"
    [[ ! -d $sbom ]] || link "$sbom" "$programs/sbom"
    printf 'FROM scratch\nCOPY . /\n' > "$scratch/Dockerfile"
    build "$scratch/Dockerfile" "$image" "$programs"
}

# FROM IMAGE SBOM GDAL: packs the programs of a folder, or compiles them where none is named.
programs() {
    if [[ -n $1 ]]; then
        pack_programs "$1" "$2" "$3"
    else
        build deploy/containers/programs.Dockerfile "$2" . ${RUST:+--build-arg "RUST=$RUST"} --build-arg "GDAL=$4"
    fi
}

gdal_is_wanted() { [[ " ${wanted[*]} " == *" client-gdal "* ]]; }

if gdal_is_wanted && [[ -n ${PROGRAMS_DIR:-} && -z ${GDAL_PROGRAMS_DIR:-} ]]; then
    echo "error: eosfed-client-gdal needs programs of its own beside PROGRAMS_DIR; run \`make programs GDAL=1" \
        "CARGO_TARGET_DIR=target/gdal\`, and name GDAL_PROGRAMS_DIR=target/gdal/release" >&2
    exit 1
fi
# Images of one variant alone need no other programs.
[[ "${wanted[*]}" == client-gdal ]] || programs "${PROGRAMS_DIR:-}" eosfed-programs target/sbom ""
if gdal_is_wanted; then
    gdal_sbom=$(dirname "${GDAL_PROGRAMS_DIR:-target/gdal/release}")/sbom
    programs "${GDAL_PROGRAMS_DIR:-}" eosfed-programs-gdal "$gdal_sbom" 1
fi

arguments=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision"
    --build-arg "PROGRAMS=${prefix}eosfed-programs:$version" --build-arg "CLIENT=${prefix}eosfed-client:$version"
    ${BASE:+--build-arg "BASE=$BASE"})
for target in "${wanted[@]}"; do
    context=. words=()
    case $target in
        coordinator) image=eosfed-coordinator ;;
        cli) image=eosfed ;;
        client-cpu) image=eosfed-client ;;
        client-cuda) image=eosfed-client-cuda ;;
        # The last word for one argument counts.
        client-gdal)
            image=eosfed-client-gdal words=(--build-arg "PROGRAMS=${prefix}eosfed-programs-gdal:$version") ;;
        demo-imagery)
            image=eosfed-demo-imagery context=$scratch/imagery
            scene=$(python3 deploy/demo/fetch_scene.py)
            mkdir -p "$context"
            cp -r "$scene" "$context/scene"
            cp deploy/containers/demo/cut.sh deploy/demo/landsat/dataset.toml "$context/"
            ;;
        *) echo "error: there is no image $target" >&2; exit 1 ;;
    esac
    build "deploy/containers/$target.Dockerfile" "$image" "$context" "${arguments[@]}" "${words[@]}"
done
