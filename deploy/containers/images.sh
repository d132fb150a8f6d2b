#!/usr/bin/env bash
# Builds the images eosfed-coordinator, eosfed (the command line), eosfed-client and, with CUDA=1,
# eosfed-client-cuda. `make images` calls this.
#
#   ENGINE        docker or podman, with options if need be ("podman --storage-driver=vfs")
#   PROGRAMS_DIR  a folder of ready programs (target/release); without it they are compiled in an image
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

pack_programs() {
    local from=$1 libtorch name
    libtorch=$(python3 deploy/libtorch/bootstrap.py)
    mkdir -p "$scratch/programs/bin"
    for name in eosfed eosfed-coordinator eosfed-client eosfed-trainer; do
        [[ -x $from/$name ]] || { echo "error: $from/$name is missing; run \`make programs\`" >&2; exit 1; }
        link "$from/$name" "$scratch/programs/bin/"
    done
    link "$libtorch/lib" "$scratch/programs/libtorch"
    [[ ! -d target/sbom ]] || link target/sbom "$scratch/programs/sbom"
    printf 'FROM scratch\nCOPY . /\n' > "$scratch/Dockerfile"
    build "$scratch/Dockerfile" eosfed-programs "$scratch/programs"
}

if [[ -n ${PROGRAMS_DIR:-} ]]; then
    pack_programs "$PROGRAMS_DIR"
else
    build deploy/containers/programs.Dockerfile eosfed-programs . ${RUST:+--build-arg "RUST=$RUST"}
fi

arguments=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision"
    --build-arg "PROGRAMS=${prefix}eosfed-programs:$version" --build-arg "CLIENT=${prefix}eosfed-client:$version"
    ${BASE:+--build-arg "BASE=$BASE"})
for target in "${wanted[@]}"; do
    context=.
    case $target in
        coordinator) image=eosfed-coordinator ;;
        cli) image=eosfed ;;
        client-cpu) image=eosfed-client ;;
        client-cuda) image=eosfed-client-cuda ;;
        demo-imagery)
            image=eosfed-demo-imagery context=$scratch/imagery
            scene=$(python3 deploy/demo/fetch_scene.py)
            mkdir -p "$context"
            cp -r "$scene" "$context/scene"
            cp deploy/containers/demo/cut.sh deploy/demo/landsat/dataset.toml "$context/"
            ;;
        *) echo "error: there is no image $target" >&2; exit 1 ;;
    esac
    build "deploy/containers/$target.Dockerfile" "$image" "$context" "${arguments[@]}"
done
