# eosfed-demo-imagery: a part of a real Landsat scene for each institution of compose.yaml, cut by the
# client. A volume that is mounted at /west or /east is filled with it. Its context is made by
# images.sh: scene (deploy/demo/fetch_scene.py), cut.sh and dataset.toml.

ARG CLIENT=eosfed-client:0.1.0
ARG PROGRAMS=eosfed-programs:0.1.0
ARG BASE=docker.io/library/debian:12.15-slim
FROM ${PROGRAMS} AS programs

FROM ${BASE} AS cut
COPY --from=programs /bin/eosfed-client /usr/bin/
COPY . /source
RUN sh /source/cut.sh /source /cut

FROM ${CLIENT}
COPY --from=cut --chown=10001:10001 /cut/ /
