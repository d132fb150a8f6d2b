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
# The wheels that deploy/libtorch takes the rest from.
RUN pip install --no-cache-dir --require-hashes --no-deps --target /packages --only-binary :all: \
        --python-version 3.12 --implementation cp --abi cp312 --abi abi3 --abi none \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 \
        --platform manylinux2014_x86_64 --platform any -r /cuda.txt
# What the image of client-cpu has is left out.
RUN mkdir /libraries \
 && cp -a /packages/torch/lib/libtorch_cuda*.so /packages/torch/lib/libc10_cuda.so \
          /packages/torch/lib/libtorch_nvshmem.so /libraries/ \
 && find /packages/nvidia -name '*.so*' -exec cp -a {} /libraries/ ';' \
 && find /packages -path '*cusparselt*' -name '*.so*' -exec cp -an {} /libraries/ ';'

FROM ${CLIENT}
LABEL org.opencontainers.image.title="eosfed-client-cuda" \
      org.opencontainers.image.description="the daemon of an institution, with the training program for NVIDIA's processors"
COPY --from=cuda /libraries/ /opt/libtorch/lib/
# NVIDIA's libraries find each other here, and the driver's container runtime puts its own beside Debian's.
ENV LD_LIBRARY_PATH=/opt/libtorch/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
