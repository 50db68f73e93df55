# The daemon's image, built by `./dev image` with the same steps that a clone uses. CPU only.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
ENV FRESHET_CACHE=/opt/freshet
WORKDIR /src
# What setup reads comes first: the downloads stay cached while sources change.
COPY dev ./
COPY cmake ./cmake
RUN ./dev setup build
COPY . .
RUN ./dev build release freshet && strip build/release/freshet

FROM ${BASE}
WORKDIR /tmp/setup
COPY dev ./
COPY cmake ./cmake
RUN ./dev setup run && rm -rf /var/lib/apt/lists/* /tmp/setup
# The binary looks for LibTorch where it was linked.
COPY --from=build /opt/freshet/libtorch-2.11.0/torch/lib/libtorch_cpu.so /opt/freshet/libtorch-2.11.0/torch/lib/libc10.so \
     /opt/freshet/libtorch-2.11.0/torch/lib/libgomp.so.1 /opt/freshet/libtorch-2.11.0/torch/lib/
COPY --from=build /opt/freshet/libtorch-2.11.0/nvidia/cu13/lib/libcudart.so.13 \
     /opt/freshet/libtorch-2.11.0/nvidia/cu13/lib/libcupti.so.13 /opt/freshet/libtorch-2.11.0/nvidia/cu13/lib/
COPY --from=build /src/build/release/freshet /usr/local/bin/freshet
RUN install -d -o 65532 -g 65532 /var/lib/freshet
WORKDIR /var/lib/freshet
USER 65532:65532
VOLUME /var/lib/freshet
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/freshet"]
CMD ["run", "--config", "/etc/freshet/freshet.yaml"]
