# eosfed-coordinator: the coordinator of a federation, with the operator's command
# Build programs.Dockerfile first, or pack ready programs: `make images` does either.

ARG PROGRAMS=eosfed-programs:0.1.0
# Not pinned by digest yet: pin it where you build, with --build-arg BASE=...@sha256:...
ARG BASE=docker.io/library/debian:12.15-slim
FROM ${PROGRAMS} AS programs

FROM ${BASE} AS collect
COPY deploy/containers/collect.sh /collect.sh
COPY LICENSE-APACHE LICENSE-MIT /root-of-image/usr/share/doc/eosfed/licences/
RUN --mount=type=bind,from=programs,source=/,target=/programs \
    sh /collect.sh /root-of-image eosfed-coordinator eosfed

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="eosfed-coordinator" \
      org.opencontainers.image.description="the coordinator of a federation, with the operator's command" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.vendor="EoS-Fed"
COPY --from=collect /root-of-image/ /
USER 10001:10001
WORKDIR /var/lib/eosfed
EXPOSE 7443
VOLUME ["/var/lib/eosfed"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --retries=3 \
    CMD ["/usr/bin/eosfed-coordinator", "health", "--state", "/var/lib/eosfed/coordinator"]
ENTRYPOINT ["/usr/bin/eosfed-coordinator"]
CMD ["serve", "--state", "/var/lib/eosfed/coordinator"]
