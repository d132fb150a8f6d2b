# eosfed-client-gdal: the daemon of an institution, with the training program for processors and GDAL, which reads
# JPEG 2000, VRT, netCDF, HDF4, HDF5, Zarr and ENVI (docs/imagery-gdal.md). It is eosfed-client of programs that are built
# with the feature `gdal`, and has Debian's libgdal with the libraries that it needs, 160 MB.
# Build programs.Dockerfile first, or pack ready programs: `make images GDAL=1` does either.

ARG PROGRAMS=eosfed-programs-gdal:0.1.0
# Not pinned by digest yet: pin it where you build, with --build-arg BASE=...@sha256:...
ARG BASE=docker.io/library/debian:12.15-slim
FROM ${PROGRAMS} AS programs

FROM ${BASE} AS collect
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgdal32 gdal-data proj-data \
 && rm -rf /var/lib/apt/lists/*
COPY deploy/containers/collect.sh /collect.sh
COPY LICENSE-APACHE LICENSE-MIT /root-of-image/usr/share/doc/eosfed/licences/
RUN --mount=type=bind,from=programs,source=/,target=/programs \
    WITH_LIBTORCH=1 WITH_GDAL=1 sh /collect.sh /root-of-image eosfed-client eosfed-trainer

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="eosfed-client-gdal" \
      org.opencontainers.image.description="the daemon of an institution, with the training program for processors and GDAL" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.vendor="EoS-Fed"
COPY --from=collect /root-of-image/ /
USER 10001:10001
WORKDIR /var/lib/eosfed
VOLUME ["/var/lib/eosfed"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --retries=3 \
    CMD ["/usr/bin/eosfed-client", "health", "--state", "/var/lib/eosfed/client"]
ENTRYPOINT ["/usr/bin/eosfed-client"]
CMD ["run", "--state", "/var/lib/eosfed/client"]
