# One image a program, from source: docker build --build-arg PROGRAM=concordat-worker .
# PROGRAM: concordat, concordat-coordinator, concordat-worker, marblerun-coordinator, versitygw.
#
# The tags name versions; who wants the very same bases each time gives them by digest, such as
# GO_IMAGE=golang@sha256:…, see docs/OPERATIONS.md. Mirrors of npm's registry and of Go's modules are arguments, too: what comes from them is
# compared with the digests in package-lock.json and go.sum. Dockerfile.prebuilt puts binaries of `make build` into images.
ARG NODE_IMAGE=node:20.20.2-bookworm-slim
ARG GO_IMAGE=golang:1.26.8-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${NODE_IMAGE} AS pages
ARG NPM_CONFIG_REGISTRY
WORKDIR /src/ui/web
COPY ui/web/package.json ui/web/package-lock.json ./
RUN npm ci --silent --no-audit --no-fund
COPY ui/web ./
RUN npx vite build --logLevel warn

FROM ${GO_IMAGE} AS build
ARG GOPROXY
ARG SOURCE_DATE_EPOCH=0
WORKDIR /src
COPY . .
COPY --from=pages /src/ui/web/dist ui/web/dist
RUN make image-roots ROOTS=/roots

FROM ${BASE_IMAGE}
ARG PROGRAM
ARG SOURCE_DATE_EPOCH=0
# Folders that volumes take the place of, and with them their owner.
RUN for d in /var/lib/concordat /run/mesh /run/credentials; do \
      install -d -o 65532 -g 65532 -m 0700 $d && touch -d @$SOURCE_DATE_EPOCH $d; done
COPY --from=build /roots/${PROGRAM}/ /opt/concordat/
USER 65532:65532
ENV PATH=/opt/concordat:/usr/bin:/bin
