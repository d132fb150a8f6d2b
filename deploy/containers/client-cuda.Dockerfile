# eosfed-client-cuda: the daemon of an institution, with the training program for NVIDIA's processors.
# It is the image of client-cpu with libtorch's CUDA part and NVIDIA's libraries (3 GB), the pinned set of
# deploy/libtorch. The host gives the driver: docker run --gpus all, or the device plug-in of a cluster.

ARG CLIENT=eosfed-client:0.1.0
# Not pinned by digest yet: pin it where you build, with --build-arg BASE=...@sha256:...
ARG BASE=docker.io/library/debian:12.15-slim
FROM ${BASE} AS cuda
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libgcc-s1 libstdc++6 python3-pip zlib1g \
 && rm -rf /var/lib/apt/lists/*
COPY deploy/lib /source/deploy/lib
COPY deploy/libtorch /source/deploy/libtorch
COPY deploy/containers/collect_cuda.sh /source/
RUN python3 /source/deploy/libtorch/bootstrap.py --cuda --runtime --cache /opt/libtorch
RUN sh /source/collect_cuda.sh /opt/libtorch/lib /root-of-image

FROM ${CLIENT}
LABEL org.opencontainers.image.title="eosfed-client-cuda" \
      org.opencontainers.image.description="the daemon of an institution, with the training program for NVIDIA's processors"
COPY --from=cuda /opt/libtorch/lib/ /opt/libtorch/lib/
COPY --from=cuda /root-of-image/ /
# NVIDIA's libraries find each other here, and the driver's container runtime puts its own beside Debian's.
ENV LD_LIBRARY_PATH=/opt/libtorch/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
