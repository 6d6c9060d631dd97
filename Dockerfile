# The farm's images: one system, one program, a target for each role. Nothing here needs the network when the base has the
# packages already (tools/farm_base.py makes such a base from this machine's apt sources), and the program comes from wheels
# that were checked against requirements.lock on the outside (tools/farm.py): FARM.md, "Compose".
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS system
COPY deploy/packages deploy/install-packages /usr/local/lib/services/
RUN ["/bin/sh", "/usr/local/lib/services/install-packages", "/usr/local/lib/services/packages"]
ARG FARM_UID=48700
RUN echo "farm:x:${FARM_UID}:${FARM_UID}::/nonexistent:/usr/sbin/nologin" >>/etc/passwd \
    && echo "farm:x:${FARM_UID}:" >>/etc/group \
    && install -d -o ${FARM_UID} -g ${FARM_UID} -m 0700 /state /cache \
    && install -d -o ${FARM_UID} -g ${FARM_UID} -m 0755 /results

FROM system AS installed
COPY .state/farm/wheels /wheels
RUN python3 -m venv /usr/local/lib/rebuilder \
    && /usr/local/lib/rebuilder/bin/pip install --quiet --no-input --no-index --find-links /wheels 'rebuilder[farm]'

FROM system AS program
COPY --from=installed /usr/local/lib/rebuilder /usr/local/lib/rebuilder
ENV PATH=/usr/local/lib/rebuilder/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONUNBUFFERED=1
# Celery works in a child: what it counts, the parent tells.
ENV PROMETHEUS_MULTIPROC_DIR=/tmp
ENV REBUILDER_STATE=/state REBUILDER_CACHE=/cache REBUILDER_RESULTS=/results
USER farm
WORKDIR /state
ENTRYPOINT ["python", "-m", "workers"]

FROM program AS coordinator
CMD ["coordinator"]

FROM program AS planner
CMD ["worker", "plan"]

FROM program AS builder
CMD ["worker", "rebuild"]

FROM program AS comparer
CMD ["worker", "compare"]

FROM program AS signer
CMD ["worker", "sign"]

FROM program AS publisher
CMD ["worker", "publish"]

FROM program AS web
CMD ["web"]

FROM system AS redis
USER farm
WORKDIR /state
COPY deploy/redis.conf /usr/local/lib/services/redis.conf
ENTRYPOINT ["redis-server", "/usr/local/lib/services/redis.conf"]

FROM system AS postgres
USER farm
WORKDIR /state
COPY deploy/postgres /usr/local/lib/services/postgres
ENTRYPOINT ["/bin/sh", "/usr/local/lib/services/postgres"]
