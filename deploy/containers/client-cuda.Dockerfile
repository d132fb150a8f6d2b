# eosfed-client-cuda: the daemon of an institution, with the training program for NVIDIA's processors.
# It is the image of client-cpu with libtorch's CUDA part and NVIDIA's libraries (several GB), pinned by
# hash. The host gives the driver: docker run --gpus all, or the device plug-in of a cluster.

ARG CLIENT=eosfed-client:0.1.0
# Not pinned by digest yet: pin it where you build, with --build-arg BASE=...@sha256:...
ARG BASE=docker.io/library/debian:12.15-slim
FROM ${BASE} AS cuda
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-pip \
 && rm -rf /var/lib/apt/lists/*
COPY deploy/requirements/cuda.txt /cuda.txt
RUN pip install --no-cache-dir --require-hashes --no-deps --target /packages -r /cuda.txt
# All of libtorch, and not only the CUDA part: its libraries must be of one wheel.
RUN mkdir /libraries \
 && rm /packages/torch/lib/libtorch_python.so /packages/torch/lib/libtorch.so \
 && find /packages/torch/lib /packages/nvidia -name '*.so*' -exec cp -an {} /libraries/ ';'

FROM ${CLIENT}
LABEL org.opencontainers.image.title="eosfed-client-cuda" \
      org.opencontainers.image.description="the daemon of an institution, with the training program for NVIDIA's processors"
COPY --from=cuda /libraries/ /opt/libtorch/lib/
# NVIDIA's libraries find each other here, and the driver's container runtime puts its own beside Debian's.
ENV LD_LIBRARY_PATH=/opt/libtorch/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
