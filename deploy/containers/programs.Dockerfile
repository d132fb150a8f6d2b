# Compiles the programs and writes their bills of materials, once for all images:
#
#   docker build -f deploy/containers/programs.Dockerfile -t eosfed-programs:0.1.0 .
#
# The result holds files only: /bin (programs), /libtorch (the libraries of the trainer) and /sbom.

# Not pinned by digest yet: pin it where you build, with --build-arg RUST=...@sha256:...
ARG RUST=docker.io/library/rust:1.95.0-slim-bookworm
FROM ${RUST} AS compile
# 1: programs with the feature `gdal`, for eosfed-client-gdal.
ARG GDAL=
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates g++ git make python3 python3-pip \
        ${GDAL:+libgdal-dev pkg-config} \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN python3 deploy/libtorch/bootstrap.py --cache /opt/libtorch
ENV LIBTORCH=/opt/libtorch
RUN make programs TARGET=target GDAL=$GDAL \
 && mkdir -p /out/bin /out/libtorch \
 && cp target/release/eosfed target/release/eosfed-coordinator target/release/eosfed-client \
       target/release/eosfed-trainer /out/bin/ \
 && cp -a /opt/libtorch/lib/. /out/libtorch/
RUN make sbom TARGET=target GDAL=$GDAL && cp -a target/sbom /out/sbom

FROM scratch
COPY --from=compile /out/ /
