# safemig with the clients of PostgreSQL 15 to 18, and one server for rehearsals. Build it from the repository's root:
#   docker build -t safemig .
#   docker run --rm -v "$PWD:/project" -e PRODUCTION_DATABASE_URL safemig review
# Servers of further majors: --build-arg SERVERS="17 18". A copy's server is never older than the database.
ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY runbooks runbooks
COPY safemig safemig
RUN python3 -m venv /opt/safemig && /opt/safemig/bin/pip install --no-cache-dir ".[zstd]"

FROM python:${PYTHON}
ARG CLIENTS="15 16 17 18"
ARG SERVERS="18"
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
# PostgreSQL's own packages: Debian has one major only. No cluster is made: safemig starts its servers by itself, as this user.
# hadolint ignore=DL3008
RUN read -ra clients <<< "$CLIENTS" && read -ra servers <<< "$SERVERS" \
 && apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git gnupg postgresql-common \
 && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
 && sed -ri "s/^#?create_main_cluster.*/create_main_cluster = false/" /etc/postgresql-common/createcluster.conf \
 && apt-get install -y --no-install-recommends "${clients[@]/#/postgresql-client-}" "${servers[@]/#/postgresql-}" \
 && rm -rf /var/lib/apt/lists/*
# A mounted project belongs to another user; git, which says whose commit is deployed, would refuse it.
RUN git config --system --add safe.directory '*' \
 && useradd --uid 10001 --create-home --shell /usr/sbin/nologin safemig \
 && install -d -o safemig -g safemig /project
COPY --from=build /opt/safemig /opt/safemig
ENV PATH=/opt/safemig/bin:$PATH
USER 10001
WORKDIR /project
ENTRYPOINT ["safemig"]
CMD ["--help"]
