# eosfed: the command of operators and of users of releases
# Build programs.Dockerfile first, or pack ready programs: `make images` does either.

ARG PROGRAMS=eosfed-programs:0.1.0
# Not pinned by digest yet: pin it where you build, with --build-arg BASE=...@sha256:...
ARG BASE=docker.io/library/debian:12.15-slim
FROM ${PROGRAMS} AS programs

FROM ${BASE} AS collect
COPY deploy/containers/collect.sh /collect.sh
COPY LICENSE-APACHE LICENSE-MIT /root-of-image/usr/share/doc/eosfed/licences/
RUN --mount=type=bind,from=programs,source=/,target=/programs \
    sh /collect.sh /root-of-image eosfed

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="eosfed" \
      org.opencontainers.image.description="the command of operators and of users of releases" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.vendor="EoS-Fed"
COPY --from=collect /root-of-image/ /
USER 10001:10001
WORKDIR /var/lib/eosfed
VOLUME ["/var/lib/eosfed"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/eosfed"]
CMD ["--help"]
